"""What can be changed about a picture: which cells are painted anew, or which new ones beside it, in what order."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from xlxmert.core.axes import Bool, Int, Tensor
from xlxmert.core.errors import UsageError
from xlxmert.core.seeds import torch_generator

SIDES = ("left", "right", "up", "down")
"""Where a picture can grow."""
SLACK = 0.1
"""Share of a cell's side that a region may reach into a cell and still leave it alone: 0.38 means three cells of 8."""
LARGEST_TIMES = 64
BLOCK = 2
"""Cells per side of what a variation hides together, where the grid can be cut so: single cells leave half things."""


@dataclass(frozen=True)
class Plan:
    """Where to paint: a canvas of cells, what is unknown on it, and the windows of the model's size to fill in turn."""

    before: Int[Tensor, "rows columns"]
    """The codes that are known; 0 where there is no picture yet."""
    unknown: Bool[Tensor, "B rows columns"]
    """The cells to paint, for each seed."""
    windows: tuple[tuple[int, int], ...]
    """Row and column of each window's first cell."""
    place: tuple[int, int]
    """Row and column of the first cell of the picture that was given."""


@dataclass(frozen=True)
class Region:
    """Paint the cells under a rectangle anew.

    A cell belongs to it if the rectangle covers any of it, so that what is to go is hidden as a whole; less than a
    tenth of a cell's side is taken for rounding.

    Raises:
        UsageError: the numbers leave [0, 1], or the region is empty.
    """

    x0: float
    """Left edge; all four in [0, 1] of the picture's width and height."""
    y0: float
    """Upper edge."""
    x1: float
    """Right edge."""
    y1: float
    """Lower edge."""

    def __post_init__(self) -> None:
        """Refuse what is no region of the picture."""
        found = f"{self.x0:g},{self.y0:g},{self.x1:g},{self.y1:g}"
        if not all(0 <= value <= 1 for value in (self.x0, self.y0, self.x1, self.y1)):
            raise UsageError(
                f"expected a region x0,y0,x1,y1 of shares of width and height in [0, 1], found {found}: "
                "divide pixels by the picture's size"
            )
        if not (self.x0 < self.x1 and self.y0 < self.y1):
            raise UsageError(f"expected a region with x0 below x1 and y0 below y1, found {found}: it would be empty")

    @classmethod
    def of(cls, corners: Sequence[float | int]) -> "Region":
        """The region of four numbers ``x0 y0 x1 y1``; raises as the class does."""
        if len(corners) != 4:
            raise UsageError(f"expected a region of four numbers x0,y0,x1,y1, found {len(corners)}: name two corners")
        return cls(*map(float, corners))

    def plan(self, codes: Int[Tensor, "n n"], seeds: Sequence[int]) -> Plan:
        """The same cells for every seed."""
        grid = len(codes)
        columns, rows = _covered(self.x0, self.x1, grid), _covered(self.y0, self.y1, grid)  # (n), (n)
        unknown = (rows[:, None] & columns).to(codes.device)  # (n, n)
        return Plan(codes, unknown.expand(len(seeds), -1, -1), ((0, 0),), (0, 0))


@dataclass(frozen=True)
class Extension:
    """Let the picture grow to a side: a window of the model's size slides over its edge and paints what lies beyond.

    Raises:
        UsageError: there is no such side, or a number is out of range.
    """

    side: str
    """One of `SIDES`."""
    by: int | None = None
    """Cells that are added at a time, by default half the grid; the others of the window are known."""
    times: int = 1
    """How often."""

    def __post_init__(self) -> None:
        """Refuse what is no side, and numbers out of range."""
        if self.side not in SIDES:
            raise UsageError(f"expected a side of {', '.join(SIDES)}, found '{self.side}': choose one of them")
        if not 1 <= self.times <= LARGEST_TIMES:
            raise UsageError(f"expected to extend 1 to {LARGEST_TIMES} times, found {self.times}: try 1")

    def plan(self, codes: Int[Tensor, "n n"], seeds: Sequence[int]) -> Plan:
        """New cells beside all old ones.

        Raises:
            UsageError: the window would not move, or would leave the picture behind.
        """
        grid = len(codes)
        by = max(1, grid // 2) if self.by is None else self.by
        if not 1 <= by < grid:
            raise UsageError(f"expected to extend by 1 to {grid - 1} cells at a time, found {by}: try {grid // 2}")
        added = by * self.times
        moves = [by * (number + 1) for number in range(self.times)]
        first = added if self.side in ("left", "up") else 0
        starts = [first - move if first else move for move in moves]
        across = self.side in ("left", "right")
        place, windows = _along(across, first), tuple(_along(across, start) for start in starts)
        unknown = torch.ones(*(grid if there else grid + added for there in (across, not across)), dtype=torch.bool)
        unknown[place[0] : place[0] + grid, place[1] : place[1] + grid] = False
        before = codes.new_zeros(unknown.shape)
        before[place[0] : place[0] + grid, place[1] : place[1] + grid] = codes
        return Plan(before, unknown.to(codes.device).expand(len(seeds), -1, -1), windows, place)


@dataclass(frozen=True)
class Variation:
    """Paint a share of the cells anew, drawn from the seed in blocks; a larger share hides what a smaller one hides.

    Raises:
        UsageError: the share is out of range.
    """

    strength: float
    """The share, above 0 and at most 1; at 1 nothing of the picture is left."""

    def __post_init__(self) -> None:
        """Refuse a share out of range."""
        if not 0 < self.strength <= 1:
            raise UsageError(f"expected a strength above 0 and at most 1, found {self.strength:g}: try 0.5")

    def plan(self, codes: Int[Tensor, "n n"], seeds: Sequence[int]) -> Plan:
        """Other cells for every seed."""
        unknown = torch.stack([self._hidden(len(codes), seed) for seed in seeds]).to(codes.device)  # (B, n, n)
        return Plan(codes, unknown, ((0, 0),), (0, 0))

    def _hidden(self, grid: int, seed: int) -> Bool[Tensor, "n n"]:
        block = BLOCK if grid % BLOCK == 0 else 1
        side = grid // block
        order = torch.randperm(side * side, generator=torch_generator(seed, "variation"))
        hidden = torch.zeros(side * side, dtype=torch.bool)
        hidden[order[: max(1, round(self.strength * len(order)))]] = True
        return hidden.view(side, side).repeat_interleave(block, 0).repeat_interleave(block, 1)


@dataclass(frozen=True)
class WordsAlone:
    """Leave the picture as it is: only blanks of the sentence are filled."""

    def plan(self, codes: Int[Tensor, "n n"], seeds: Sequence[int]) -> Plan:
        """No cells at all."""
        known = torch.zeros(len(seeds), *codes.shape, dtype=torch.bool, device=codes.device)
        return Plan(codes, known, ((0, 0),), (0, 0))


Change = Region | Extension | Variation | WordsAlone
"""All that can be done to a picture."""


def _covered(low: float, high: float, cells: int) -> Bool[Tensor, " cells"]:
    """The cells of a row that the stretch from ``low`` to ``high`` covers; of a very short one the cell it lies in."""
    edges = torch.arange(cells, dtype=torch.float64)
    covered = (high * cells > edges + SLACK) & (low * cells < edges + 1 - SLACK)
    if not covered.any():
        covered[min(int((low + high) / 2 * cells), cells - 1)] = True
    return covered


def _along(across: bool, cells: int) -> tuple[int, int]:
    """Row and column of a place so many cells to the right, or down."""
    return (0, cells) if across else (cells, 0)
