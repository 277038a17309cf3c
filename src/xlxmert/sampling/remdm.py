"""ReMDM: like other parallel samplers, but a settled cell may be hidden again, so that early mistakes can be mended."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from xlxmert.core.axes import Bool, Float, Int, Tensor
from xlxmert.core.errors import UsageError
from xlxmert.sampling.draws import gumbel, uniform
from xlxmert.sampling.scheduled import Scheduled
from xlxmert.sampling.steps import Network, Step, counts_of, look, lowest


@dataclass(frozen=True)
class ReMDM(Scheduled):
    """The remasking sampler (Wang et al. 2025, arXiv 2503.00307), rescaled, capped and by confidence.

    For steps t = 1 … T, with n settled cells, of which h are to be hidden after the step (the schedule's count):

    1. Draw a code for every hidden cell.
    2. Hide each settled cell again with the chance sigma, where sigma_max = min(1, h/n) is the most that the schedule
       allows and sigma = min(cap, rescale · sigma_max) on average; a cell whose code was less likely when it was
       settled has a larger part in it, by softmax(-p) over the settled cells.
    3. Settle as many of the cells hidden before, at random, as bring the hidden ones to h. The paper settles each with
       the chance that does so in expectation; the number itself keeps to the schedule and ends with nothing hidden.

    Mistakes are mended where there are many steps; with few, re-hidden cells take room from those never decided.
    """

    steps: int = 64
    """Forward passes (T); never more than there are unknown cells."""
    rescale: float = 0.2
    """Part of the largest possible chance to be hidden again, in [0, 1]; 0 never hides again."""
    cap: float = 0.1
    """The most that this chance may be on average."""

    def __post_init__(self) -> None:
        """Refuse settings out of range."""
        super().__post_init__()
        for name, value in (("rescale", self.rescale), ("cap", self.cap)):
            if not 0 <= value <= 1:
                raise UsageError(f"expected a {name} in [0, 1], found {value}: try 0.1")

    def run(
        self, network: Network, codes: Int[Tensor, "B N"], unknown: Bool[Tensor, "B N"], seeds: Sequence[int]
    ) -> Iterator[Step]:
        """Yield the picture after every step; a cell hidden again keeps its code until it is drawn anew."""
        plan, hidden, confidence = self._plan(unknown), unknown, torch.ones(codes.shape, device=codes.device)
        for index, counts in enumerate(plan):
            guess, log_p = self._draw(look(network, codes, hidden), seeds, index)
            again = self._again(confidence, unknown & ~hidden, seeds, index, counts)
            codes, confidence = torch.where(hidden, guess, codes), torch.where(hidden, log_p.exp(), confidence)
            room = [count - taken for count, taken in zip(counts, counts_of(again), strict=True)]
            stay = lowest(gumbel(seeds, index, codes.shape[1]).to(codes.device), hidden, room)
            yield Step(codes, stay | again, hidden & ~stay, confidence, index, len(plan))
            hidden = stay | again

    def _again(
        self,
        confidence: Float[Tensor, "B N"],
        settled: Bool[Tensor, "B N"],
        seeds: Sequence[int],
        index: int,
        counts: Sequence[int],
    ) -> Bool[Tensor, "B N"]:
        """The settled cells to hide again in step ``index``: by chance, and no more than ``counts``."""
        many = settled.sum(dim=1, keepdim=True).clamp(min=1)
        most = (torch.tensor(list(counts), device=many.device)[:, None] / many).clamp(max=1)
        sigma = (self.rescale * most).clamp(max=self.cap)
        parts = (-confidence).masked_fill(~settled, -1e9).softmax(dim=1) * many  # 1 on average
        draw = uniform(seeds, index, confidence.shape[1], "again").to(confidence.device)
        return lowest(draw, settled & (draw < sigma * parts), counts)
