"""Halton: cells in an order fixed in advance that spreads evenly over the grid, so that neighbours come late."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch

from xlxmert.core.axes import Bool, Float, Int, Tensor
from xlxmert.core.seeds import seed_of
from xlxmert.sampling.scheduled import Scheduled
from xlxmert.sampling.schedules import Schedule
from xlxmert.sampling.steps import Network, Step, look, lowest


@dataclass(frozen=True)
class Halton(Scheduled):
    """The Halton scheduler (Besnier et al. 2025, arXiv 2503.17076), for steps t = 1 … T.

    1. Draw a code for every hidden cell.
    2. Settle for good the cells that come next in the Halton order, as many as the schedule says of the cells unknown
       at the start. Confidence has no say and there is no noise: cells of one step lie far apart, so they depend
       little on each other.
    """

    schedule: Schedule = "arccos"
    """How fast the hidden share falls."""
    rolled: bool = True
    """Start the order at a place of the seed's own; otherwise all pictures take the same order."""

    def run(
        self, network: Network, codes: Int[Tensor, "B N"], unknown: Bool[Tensor, "B N"], seeds: Sequence[int]
    ) -> Iterator[Step]:
        """Yield the picture after every step."""
        plan, hidden, confidence = self._plan(unknown), unknown, torch.ones(codes.shape, device=codes.device)
        turns = self._turns(seeds, codes.shape[1]).to(codes.device)
        for index, counts in enumerate(plan):
            guess, log_p = self._draw(look(network, codes, hidden), seeds, index)
            codes, confidence = torch.where(hidden, guess, codes), torch.where(hidden, log_p.exp(), confidence)
            left = lowest(-turns, hidden, counts)
            yield Step(codes, left, hidden & ~left, confidence, index, len(plan))
            hidden = left

    def _turns(self, seeds: Sequence[int], cells: int) -> Float[Tensor, "B N"]:
        """When each cell's turn comes in each sample: 0, 1, …, with known cells passed over later."""
        turns = torch.empty(cells)
        turns[list(halton_order(cells))] = torch.arange(cells, dtype=turns.dtype)
        starts = [seed_of(seed, "halton") % cells if self.rolled else 0 for seed in seeds]
        return (turns - torch.tensor(starts)[:, None]) % cells


@lru_cache
def halton_order(cells: int) -> tuple[int, ...]:
    """All cells of a square grid in the order of the Halton sequence: rows in base 2, columns in base 3.

    Where ``cells`` is not a square, as in a sentence, the order is that of the van der Corput sequence in base 2 along
    the line. Points that fall into a cell already taken are passed over.

    Source: valeoai/Halton-MaskGIT, Sampler/halton_sampler.py at 08cfdae, which also leaves out the sequence's point 0.
    """
    side = math.isqrt(cells)
    axes = [(2, side), (3, side)] if side * side == cells else [(2, cells)]
    order: dict[int, None] = {}
    for index in itertools.count(1):
        place = 0
        for base, length in axes:
            place = place * length + _cell(index, base, length)
        order.setdefault(place)
        if len(order) == cells:
            break
    return tuple(order)


def _cell(index: int, base: int, length: int) -> int:
    """Which of ``length`` cells the radical inverse of ``index`` falls into: its digits mirrored at the point."""
    numerator, denominator = 0, 1
    while index:
        index, digit = divmod(index, base)
        numerator, denominator = numerator * base + digit, denominator * base
    return length * numerator // denominator
