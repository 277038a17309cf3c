"""Mask-Predict: all unknown cells at once, then ever fewer of the least certain ones again; the papers' default."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from xlxmert.core.axes import Bool, Int, Tensor
from xlxmert.core.errors import UsageError
from xlxmert.sampling.schedules import linear_decay
from xlxmert.sampling.steps import Network, Step, counts_of, look, lowest


@dataclass(frozen=True)
class MaskPredict:
    """Mask-Predict-K (X-LXMERT Sec. 5.2, after Ghazvininejad et al. 2019), without randomness.

    1. Hide all unknown cells.
    2. Give each hidden cell its most probable code. Every cell's confidence is its highest probability in this forward
       pass, settled cells included (they are looked at again, not remembered).
    3. Hide the int((K - i) / K · unknown) cells of lowest confidence and go back to 2, for i = 1 … K - 1.
    """

    steps: int = 4
    """Forward passes (K)."""

    def __post_init__(self) -> None:
        """Refuse fewer than one step."""
        if self.steps < 1:
            raise UsageError(f"expected at least 1 step, found {self.steps}: try 4")

    def run(
        self, network: Network, codes: Int[Tensor, "B N"], unknown: Bool[Tensor, "B N"], seeds: Sequence[int]
    ) -> Iterator[Step]:
        """Yield the picture after every step; ``seeds`` change nothing."""
        counts, hidden = counts_of(unknown), unknown
        for index in range(self.steps):
            confidence, best = look(network, codes, hidden).softmax(dim=-1).max(dim=-1)
            codes = torch.where(hidden, best, codes)
            left = lowest(confidence, unknown, [linear_decay(self.steps, index + 1, count) for count in counts])
            yield Step(codes, left, hidden, confidence, index, self.steps)
            hidden = left
