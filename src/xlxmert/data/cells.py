"""What stands in each cell of a picture's grid, as numbers, from the boxes of its things."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from xlxmert.data.records import Box, InstanceRecord

COVERED = 0.1
"""A thing stands in a cell when its box covers at least this share of it."""
PLACES = 4
"""A cell's place in a box is told by quarters of the box's width and height."""

T = TypeVar("T")

Seen = tuple[InstanceRecord, int]
"""A thing and the place of a cell in its box."""


@dataclass(frozen=True)
class LabelledCells:
    """The cells of P pictures: what the thing is (0 for none), its attributes and its part (-1 for none)."""

    things: np.ndarray
    """(P, N) int64."""
    attributes: np.ndarray
    """(P, N, A) bool."""
    parts: np.ndarray
    """(P, N) int64."""


def label_cells(pictures: Sequence[Sequence[InstanceRecord]], grid: int, least: int = 20) -> LabelledCells:
    """Number what stands in every cell.

    The smallest of several boxes that cover a cell counts, as it is the likeliest to be in front. Names, attributes and
    parts are numbered by how often they are seen.

    Args:
        pictures: each picture's things; crowds are left out.
        grid: cells per side.
        least: names, attributes and parts seen in fewer cells are not told apart from none.
    """
    seen = [_seen(things, grid) for things in pictures]
    every = [each for cells in seen for each in cells if each is not None]
    names = _numbers(Counter(thing.category for thing, _ in every), least)
    attributes = _numbers(Counter(name for thing, _ in every for name in dict.fromkeys(thing.attributes)), least)
    parts = _numbers(Counter(_part(*each) for each in every), least)
    shape = len(pictures), grid * grid
    found = LabelledCells(
        np.zeros(shape, np.int64), np.zeros((*shape, len(attributes)), bool), np.full(shape, -1, np.int64)
    )
    for row, cells in enumerate(seen):
        for cell, each in enumerate(cells):
            if each is None or each[0].category not in names:
                continue
            found.things[row, cell] = names[each[0].category] + 1
            known = [attributes[name] for name in each[0].attributes if name in attributes]
            found.attributes[row, cell, known] = True
            found.parts[row, cell] = parts.get(_part(*each), -1)
    return found


def _seen(things: Sequence[InstanceRecord], grid: int) -> list[Seen | None]:
    """The thing in front in each cell."""
    cells: list[Seen | None] = [None] * grid**2
    for thing in sorted((each for each in things if not each.crowd), key=lambda each: -_area(each.box)):
        x0, y0, x1, y1 = (side * grid for side in thing.box)
        for y in range(int(y0), min(int(np.ceil(y1)), grid)):
            for x in range(int(x0), min(int(np.ceil(x1)), grid)):
                width, height = min(x1, x + 1) - max(x0, x), min(y1, y + 1) - max(y0, y)
                if width * height >= COVERED:
                    across, down = _place(x + 0.5, x0, x1), _place(y + 0.5, y0, y1)
                    cells[y * grid + x] = thing, down * PLACES + across
    return cells


def _place(centre: float, low: float, high: float) -> int:
    return min(max(int((centre - low) / max(high - low, 1e-6) * PLACES), 0), PLACES - 1)


def _part(thing: InstanceRecord, place: int) -> tuple[str, tuple[str, ...], int]:
    return thing.category, tuple(sorted(thing.attributes)), place


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _numbers(counts: Counter[T], least: int) -> dict[T, int]:
    """Numbers from 0, the most frequent first; ties in the order of first sight."""
    return {name: number for number, (name, count) in enumerate(counts.most_common()) if count >= least}
