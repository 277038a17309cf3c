"""How the threads of one operation wait for each other."""

import os


def wait_actively() -> None:
    """Ask OpenMP's threads to wait for their next work without falling asleep; must come before torch is imported.

    Batches are made in a thread of their own, which brings its own OpenMP threads along; libgomp then counts more
    threads than cores and lets all of them sleep between any two products. A training step on two cores took a third
    longer (docs/results.md, "Speed of training"). ``OMP_WAIT_POLICY`` in the environment has the last word.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "active")
