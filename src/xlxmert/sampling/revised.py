"""Revised: any sampler, and then again and again a critical look and the least likely cells once more."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch

from xlxmert.core.axes import Bool, Int, Tensor
from xlxmert.core.errors import UsageError
from xlxmert.core.seeds import seed_of
from xlxmert.sampling.draws import uniform
from xlxmert.sampling.maskgit import MaskGIT
from xlxmert.sampling.steps import Network, Sampler, Step, counts_of, look, lowest, ranks


@dataclass(frozen=True)
class Revised:
    """A sampler's picture, judged cell by cell and partly painted again.

    A sampler that settles for good judges each cell by what was known at the time; once the picture is whole, it can
    be judged by all the rest.

    1. Let ``first`` paint.
    2. Split the cells that were unknown into ``looks`` groups at random. Look once per group, with the group hidden:
       each cell is judged by the log-probability of its code there, which is a look at the cell without itself.
    3. Hide the least likely ``share`` of the unknown cells and let ``again`` fill them.
    4. Do 2 and 3 ``rounds`` times.

    A look is a step that changes nothing. Each round draws from seeds of its own, made from the picture's.
    """

    first: Sampler = field(default_factory=MaskGIT)
    """What paints the picture that is revised."""
    rounds: int = 2
    """How often it is judged and partly painted again."""
    share: float = 0.25
    """Of the unknown cells, how many are painted again in each round."""
    looks: int = 4
    """Forward passes that judge the cells of a round, each by all but one of so many parts of the picture."""
    again: MaskGIT = field(default_factory=lambda: MaskGIT(8, token_temperature=0.5, choice_temperature=0.0))
    """What fills the cells that are painted again."""

    def __post_init__(self) -> None:
        """Refuse settings out of range."""
        if self.rounds < 1:
            raise UsageError(f"expected at least 1 round, found {self.rounds}: without one, use the sampler itself")
        if not 0 < self.share <= 1:
            raise UsageError(f"expected a share in (0, 1] to paint again, found {self.share}: try 0.25")
        if self.looks < 2:
            raise UsageError(
                f"expected at least 2 looks, found {self.looks}: one look hides everything that was painted; try 4"
            )

    def run(
        self, network: Network, codes: Int[Tensor, "B N"], unknown: Bool[Tensor, "B N"], seeds: Sequence[int]
    ) -> Iterator[Step]:
        """Yield the picture after every step of every stage, numbered through."""
        length, done = self._length(unknown), 0
        for number in range(self.rounds + 1):
            if number:
                stage = self._round(network, codes, unknown, [seed_of(seed, "revise", number) for seed in seeds])
            else:
                stage = self.first.run(network, codes, unknown, seeds)
            later = (self.rounds - number) * length
            for step in stage:
                codes = step.codes
                yield replace(step, index=done + step.index, total=done + step.total + later)
            done += step.index + 1

    def _round(
        self, network: Network, codes: Int[Tensor, "B N"], unknown: Bool[Tensor, "B N"], seeds: Sequence[int]
    ) -> Iterator[Step]:
        """Judge every unknown cell, and fill the least likely again."""
        for judged in self._judge(network, codes, unknown, seeds):
            yield judged
        for step in self.again.run(network, codes, judged.hidden, seeds):
            confidence = torch.where(judged.hidden, step.confidence, judged.confidence)
            yield replace(step, confidence=confidence, index=judged.index + 1 + step.index, total=judged.total)

    def _judge(
        self, network: Network, codes: Int[Tensor, "B N"], unknown: Bool[Tensor, "B N"], seeds: Sequence[int]
    ) -> Iterator[Step]:
        """Look at every unknown cell without itself; the last look hides the least likely."""
        groups, looks, length = self._groups(unknown, seeds), self._looks(unknown), self._length(unknown)
        nothing, log_p = torch.zeros_like(unknown), torch.zeros(codes.shape, device=codes.device)
        for index in range(looks):
            hidden = unknown & (groups == index)
            found = look(network, codes, hidden).log_softmax(dim=-1).gather(-1, codes[..., None]).squeeze(-1)
            log_p = torch.where(hidden, found, log_p)
            left = lowest(log_p, unknown, self._repainted(unknown)) if index + 1 == looks else nothing
            yield Step(codes, left, nothing, log_p.exp(), index, length)

    def _groups(self, unknown: Bool[Tensor, "B N"], seeds: Sequence[int]) -> Int[Tensor, "B N"]:
        """The number of the look that judges each unknown cell; in each sample, groups of the same size but for one."""
        order = uniform(seeds, 0, unknown.shape[1], "looks").to(unknown.device)
        return ranks(order, unknown) % self.looks

    def _looks(self, unknown: Bool[Tensor, "B N"]) -> int:
        """How many groups have a cell in any sample."""
        return min(self.looks, max(counts_of(unknown)))

    def _repainted(self, unknown: Bool[Tensor, "B N"]) -> list[int]:
        """How many cells of each sample are painted again: at least one where any was unknown."""
        return [min(count, max(1, round(self.share * count))) for count in counts_of(unknown)]

    def _length(self, unknown: Bool[Tensor, "B N"]) -> int:
        """The steps of a round."""
        return self._looks(unknown) + min(self.again.steps, max(self._repainted(unknown)))
