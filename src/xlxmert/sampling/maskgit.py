"""MaskGIT: many cells at once, drawn at random, the surest settled for good; the modern parallel sampler."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from xlxmert.core.axes import Bool, Float, Int, Tensor
from xlxmert.core.errors import UsageError
from xlxmert.sampling.draws import gumbel
from xlxmert.sampling.scheduled import Scheduled
from xlxmert.sampling.steps import Network, Step, look, lowest


@dataclass(frozen=True)
class MaskGIT(Scheduled):
    """MaskGIT's parallel decoding (Chang et al. 2022, arXiv 2202.04200, Sec. 3.2), for steps t = 1 … T.

    1. Draw a code for every hidden cell.
    2. Score it log p(code) + choice_temperature · (1 - t/T) · Gumbel noise. The noise fades linearly: each step's
       factor is counted from the start, never multiplied onto the last step's.
    3. Keep the lowest scores hidden, as many as the schedule says of the cells unknown at the start; settle the rest
       for good.
    """

    steps: int = 16
    """Forward passes (T); never more than there are unknown cells."""
    choice_temperature: float = 4.5
    """Noise in which cells are settled first; 0 takes the surest."""

    def __post_init__(self) -> None:
        """Refuse settings out of range."""
        super().__post_init__()
        if self.choice_temperature < 0:
            raise UsageError(f"expected a choice temperature of 0 or above, found {self.choice_temperature}: try 4.5")

    def run(
        self, network: Network, codes: Int[Tensor, "B N"], unknown: Bool[Tensor, "B N"], seeds: Sequence[int]
    ) -> Iterator[Step]:
        """Yield the picture after every step."""
        plan, hidden, confidence = self._plan(unknown), unknown, torch.ones(codes.shape, device=codes.device)
        for index, counts in enumerate(plan):
            guess, log_p = self._draw(look(network, codes, hidden), seeds, index)
            codes, confidence = torch.where(hidden, guess, codes), torch.where(hidden, log_p.exp(), confidence)
            left = lowest(log_p + self._noise(log_p, seeds, index), hidden, counts)
            yield Step(codes, left, hidden & ~left, confidence, index, len(plan))
            hidden = left

    def _noise(self, like: Float[Tensor, "B N"], seeds: Sequence[int], index: int) -> Float[Tensor, "B N"]:
        """What is added to the log-probabilities in step ``index``, counted from 0."""
        factor = self.choice_temperature * (1 - (index + 1) / self.steps)
        return factor * gumbel(seeds, index, like.shape[1]).to(like.device)
