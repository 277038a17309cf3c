"""One cell at a time: in reading order, in random order with revisits (Gibbs sampling), or the surest first."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from xlxmert.core.axes import Bool, Float, Int, Tensor
from xlxmert.core.errors import UsageError
from xlxmert.sampling.draws import check_draws, choose
from xlxmert.sampling.steps import Network, Step, counts_of, look


@dataclass(frozen=True)
class OneByOne:
    """What the one-at-a-time samplers share: how a cell's code is drawn."""

    temperature: float = 0.0
    """Spread of the draws; 0 takes the most probable code, as the paper does."""
    top_k: int = 0
    """Draw among this many best codes; 0 for all."""
    top_p: float = 1.0
    """Draw within this most probable share."""

    def __post_init__(self) -> None:
        """Refuse settings out of range."""
        check_draws(self.temperature, self.top_k, self.top_p)

    def _guess(
        self, network: Network, codes: Int[Tensor, "B N"], hidden: Bool[Tensor, "B N"], seeds: Sequence[int], step: int
    ) -> tuple[Int[Tensor, "B N"], Float[Tensor, "B N"]]:
        """A code for every cell, and the network's probability of it."""
        logits = look(network, codes, hidden)
        guess = choose(logits, seeds, step, self.temperature, self.top_k, self.top_p)
        return guess, logits.softmax(dim=-1).gather(-1, guess[..., None]).squeeze(-1)

    def _follow(
        self,
        visits: Sequence[Sequence[int]],
        network: Network,
        codes: Int[Tensor, "B N"],
        unknown: Bool[Tensor, "B N"],
        seeds: Sequence[int],
    ) -> Iterator[Step]:
        """Hide and decide the cells of ``visits``, one list per sample; when its list ends, a sample stays as it is."""
        total = max(map(len, visits))
        hidden, confidence = unknown, torch.ones(codes.shape, device=codes.device)
        for index in range(total):
            current = _mark([list(cells[index : index + 1]) for cells in visits], unknown)
            hidden = hidden | current
            guess, sure = self._guess(network, codes, hidden, seeds, index)
            codes, confidence = torch.where(hidden, guess, codes), torch.where(hidden, sure, confidence)
            hidden = hidden & ~current
            yield Step(codes, hidden, current, confidence, index, total)


@dataclass(frozen=True)
class Raster(OneByOne):
    """Reading order: left to right, top to bottom (X-LXMERT Sec. 5.2 "TL→BR"); for words, left to right."""

    def run(
        self, network: Network, codes: Int[Tensor, "B N"], unknown: Bool[Tensor, "B N"], seeds: Sequence[int]
    ) -> Iterator[Step]:
        """Yield the picture after every cell."""
        return self._follow(_cells(unknown), network, codes, unknown, seeds)


@dataclass(frozen=True)
class RandomOrder(OneByOne):
    """Random order, each cell hidden again when revisited: Gibbs sampling (X-LXMERT Sec. 5.2 "Random").

    A first sweep visits each unknown cell once. Further visits run through a second shuffled list, so that they
    too spread evenly.
    """

    sweeps: float = 1.0
    """Visits per unknown cell; on 64 cells the paper's 140 and 200 steps are 2.1875 and 3.125."""

    def __post_init__(self) -> None:
        """Refuse an order that would leave cells hidden."""
        super().__post_init__()
        if self.sweeps < 1:
            raise UsageError(f"expected at least 1 sweep, found {self.sweeps}: fewer would leave cells unpainted")

    @classmethod
    def of_steps(cls, steps: int, cells: int = 64, temperature: float = 0.0) -> "RandomOrder":
        """The order that takes ``steps`` steps on a grid of ``cells``, as the paper counts."""
        return cls(temperature=temperature, sweeps=steps / cells)

    def run(
        self, network: Network, codes: Int[Tensor, "B N"], unknown: Bool[Tensor, "B N"], seeds: Sequence[int]
    ) -> Iterator[Step]:
        """Yield the picture after every visit; the order is a function of the sample's seed."""
        visits = [
            [cells[place] for place in random_places(len(cells), round(self.sweeps * len(cells)), seed)]
            for cells, seed in zip(_cells(unknown), seeds, strict=True)
        ]
        return self._follow(visits, network, codes, unknown, seeds)


@dataclass(frozen=True)
class EasyFirst(OneByOne):
    """At each step each sample settles the one hidden cell it is surest of."""

    def run(
        self, network: Network, codes: Int[Tensor, "B N"], unknown: Bool[Tensor, "B N"], seeds: Sequence[int]
    ) -> Iterator[Step]:
        """Yield the picture after every cell."""
        total = max(counts_of(unknown))
        hidden, confidence = unknown, torch.ones(codes.shape, device=codes.device)
        for index in range(total):
            guess, sure = self._guess(network, codes, hidden, seeds, index)
            codes, confidence = torch.where(hidden, guess, codes), torch.where(hidden, sure, confidence)
            surest = sure.masked_fill(~hidden, -1).argmax(dim=1, keepdim=True)
            current = torch.zeros_like(hidden).scatter(1, surest, True) & hidden
            hidden = hidden & ~current
            yield Step(codes, hidden, current, confidence, index, total)


def random_places(places: int, steps: int, seed: int) -> list[int]:
    """All ``places`` in random order, then further visits up to ``steps``.

    As in the reference code, Python's generator starts afresh from ``seed`` for each list, which is read from its end.
    """
    first, further = list(range(places)), list(range(steps - places))
    random.Random(seed).shuffle(first)
    random.Random(seed).shuffle(further)
    return [*reversed(first), *(place % places for place in reversed(further))]


def _cells(unknown: Bool[Tensor, "B N"]) -> list[list[int]]:
    """The marked cells of each sample, in reading order."""
    return [row.nonzero().flatten().tolist() for row in unknown]


def _mark(cells: Sequence[Sequence[int]], like: Bool[Tensor, "B N"]) -> Bool[Tensor, "B N"]:
    """A mask that is True at the ``cells`` of each sample."""
    mask = torch.zeros(like.shape, dtype=torch.bool)
    for row, chosen in zip(mask, cells, strict=True):
        row[list(chosen)] = True
    return mask.to(like.device)
