"""Schedules: how many cells are still hidden after each step, counted from those unknown at the start; and ramps."""

import math
from typing import Literal

Schedule = Literal["cosine", "linear", "arccos", "square", "cubic", "root"]
"""How the hidden share falls from 1 to 0 (MaskGIT, arXiv 2202.04200, Sec. 3.3)."""


def share_hidden(schedule: Schedule, done: float) -> float:
    """The share of cells still hidden, in [0, 1], when the share ``done`` of the steps is done, also in [0, 1]."""
    match schedule:
        case "cosine":
            return math.cos(math.pi / 2 * done)
        case "linear":
            return 1 - done
        case "arccos":
            return math.acos(done) / (math.pi / 2)
        case "square":
            return 1 - done**2
        case "cubic":
            return 1 - done**3
        case "root":
            return 1 - math.sqrt(done)


def hidden_counts(schedule: Schedule, steps: int, unknown: int) -> list[int]:
    """Cells still hidden after steps 1 … ``steps``; each settles at least one while any is left.

    Shares are taken of the cells ``unknown`` at the start, not of the whole grid: of the grid, painting a quarter of it
    would settle one cell at a time and the rest in a rush at the end.
    """
    counts, left = [], unknown
    for step in range(1, steps):
        wanted = math.floor(unknown * share_hidden(schedule, step / steps))
        left = max(min(max(wanted, steps - step), left - 1), 0)
        counts.append(left)
    return [*counts, 0]


def linear_decay(steps: int, step: int, unknown: int) -> int:
    """Cells that Mask-Predict hides before ``step`` of ``steps``, counted from 0: all of ``unknown``, then ever fewer.

    Source: X-LXMERT Sec. 5.2, n = N (K - i) / K, rounded down.
    """
    return int((steps - step) / steps * unknown)


def ramp(start: float, end: float, index: int, steps: int) -> float:
    """What goes from ``start`` in the first of ``steps`` steps to ``end`` in the last, in even strides.

    A function of the step's number ``index``, from 0: a value multiplied onto the last step's would fall like a power.
    """
    return start + (end - start) * (index / max(steps - 1, 1))
