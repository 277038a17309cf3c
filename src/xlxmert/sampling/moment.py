"""The moment sampler: MaskGIT the other way round, which first chooses the cells and then draws their codes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from xlxmert.core.axes import Bool, Float, Int, Tensor
from xlxmert.core.errors import UsageError
from xlxmert.sampling.draws import choose, gumbel, narrow
from xlxmert.sampling.maskgit import MaskGIT
from xlxmert.sampling.schedules import ramp
from xlxmert.sampling.steps import Network, Step, look, lowest


@dataclass(frozen=True)
class Moment(MaskGIT):
    """Choose, then sample (arXiv 2510.04525), for steps t = 1 … T.

    MaskGIT draws a code x in every cell from q, and settles cells with weights p(x)^(1/α), where
    α = choice_temperature · (1 - t/T). Where few of many cells are settled, that is the same as:

    1. Choose cells with weights m = Σ q(x) p(x)^(1/α), by Gumbel noise on log m, as many as the schedule says.
    2. Draw the code of each from q(x) p(x)^(1/α) / m.

    The second line is what MaskGIT hides: its choice sharpens its codes, to a temperature of 1/(1/τ + 1/α) where q has
    the temperature τ. Here no draw is thrown away, and a cell's turn depends on its distribution instead of on luck.
    In the last step nothing is chosen, and codes come from q.
    """

    def __post_init__(self) -> None:
        """Refuse settings out of range."""
        super().__post_init__()
        if not self.choice_temperature > 0:
            raise UsageError("expected a choice temperature above 0, found 0: try 4.5, or MaskGIT, which needs none")

    def run(
        self, network: Network, codes: Int[Tensor, "B N"], unknown: Bool[Tensor, "B N"], seeds: Sequence[int]
    ) -> Iterator[Step]:
        """Yield the picture after every step."""
        plan, hidden, confidence = self._plan(unknown), unknown, torch.ones(codes.shape, device=codes.device)
        for index, counts in enumerate(plan):
            log_p = look(network, codes, hidden).log_softmax(dim=-1)
            weights = self._weights(log_p, index)
            guess = choose(weights, seeds, index)
            sure = log_p.gather(-1, guess[..., None]).squeeze(-1).exp()
            codes, confidence = torch.where(hidden, guess, codes), torch.where(hidden, sure, confidence)
            noise = gumbel(seeds, index, codes.shape[1]).to(codes.device)
            left = lowest(weights.logsumexp(dim=-1) + noise, hidden, counts)
            yield Step(codes, left, hidden & ~left, confidence, index, len(plan))
            hidden = left

    def _weights(self, log_p: Float[Tensor, "B N K"], index: int) -> Float[Tensor, "B N K"]:
        """log q(x) + log p(x) / α, whose sums over the codes are the cells' weights."""
        temperature = max(ramp(self.token_temperature, self._end, index, self.steps), 1e-6)
        log_q = narrow(log_p / temperature, self.top_k, self.top_p).log_softmax(dim=-1)
        alpha = self.choice_temperature * (1 - (index + 1) / self.steps)
        return log_q + log_p / alpha if alpha else log_q
