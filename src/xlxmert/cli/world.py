"""``xlxmert world``: write the built-in world as data-set files."""

from dataclasses import dataclass
from pathlib import Path

from xlxmert.cli.common import print_json
from xlxmert.cli.progress import print_facts, progress_bar
from xlxmert.data.world.write import write_world


@dataclass(frozen=True)
class Options:
    """Write the built-in world as data-set files in the formats of COCO, VQA v2, GQA, NLVR2 and Visual Genome."""

    out: Path
    """A folder that is new or empty."""
    images: int = 10_000
    """Pictures for training; val, test and heldout get a tenth of it each, at least 20 and at most 1,000."""
    seed: int = 0
    """Seed of everything that is drawn: the same seed gives the same files."""
    workers: int = 2
    """Processes that draw and write."""
    overwrite: bool = False
    """Replace a world that was written to this folder earlier; anything else in it is never touched."""
    json: bool = False
    """Report as JSON."""


def run(options: Options) -> int:
    """Write the world and report its counts."""
    with progress_bar("drawing the world") as progress:
        facts = write_world(
            options.out,
            options.images,
            options.seed,
            workers=options.workers,
            overwrite=options.overwrite,
            progress=progress,
        )
    if options.json:
        print_json(facts)
        return 0
    rows = {split: f"{count} pictures, {facts['pairs'][split]} pairs" for split, count in facts["pictures"].items()}
    print_facts({"folder": options.out, "seed": options.seed, **rows})
    return 0
