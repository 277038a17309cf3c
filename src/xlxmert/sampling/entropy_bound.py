"""EB-Sampler: as many cells at once as the network is sure enough of, so that easy pictures take few steps."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from xlxmert.core.axes import Bool, Float, Int, Tensor
from xlxmert.core.errors import UsageError
from xlxmert.sampling.draws import check_draws, choose
from xlxmert.sampling.steps import Network, Step, counts_of, look, lowest


@dataclass(frozen=True)
class EntropyBound:
    """The entropy-bounded sampler (Ben-Hamu et al. 2025, arXiv 2505.24857).

    1. Draw a code for every hidden cell.
    2. Sort the hidden cells by the entropy of the network's distribution, lowest first, and settle for good the
       largest number k of them for which H₁ + … + H_k - max H stays within gamma: at least one. This sum is the most
       that can be lost by drawing the k cells independently of each other.

    A picture that takes many steps does not hold up others of its batch: those that are ready stay as they are.
    """

    gamma: float = 1.0
    """Entropy that may be settled at once besides the largest, in nats; 0 settles one cell a step, more is faster."""
    most_steps: int = 64
    """Forward passes after which whatever is left is settled."""
    token_temperature: float = 1.0
    """Spread of the drawn codes; 0 takes the most probable. Entropies are of the network's own distribution."""
    top_k: int = 0
    """Draw among this many best codes; 0 for all."""
    top_p: float = 1.0
    """Draw within this most probable share."""

    def __post_init__(self) -> None:
        """Refuse settings out of range."""
        if not self.gamma >= 0:
            raise UsageError(f"expected a gamma of 0 nats or above, found {self.gamma}: try 1.0")
        if self.most_steps < 1:
            raise UsageError(f"expected at least 1 step, found {self.most_steps}: try 64")
        check_draws(self.token_temperature, self.top_k, self.top_p)

    def run(
        self, network: Network, codes: Int[Tensor, "B N"], unknown: Bool[Tensor, "B N"], seeds: Sequence[int]
    ) -> Iterator[Step]:
        """Yield the picture after every step; until the last, ``total`` is the most that there can be."""
        hidden, confidence = unknown, torch.ones(codes.shape, device=codes.device)
        for index in range(min(self.most_steps, max(counts_of(unknown)))):
            logits = look(network, codes, hidden)
            guess = choose(logits, seeds, index, self.token_temperature, self.top_k, self.top_p)
            chance = logits.softmax(dim=-1)
            sure = chance.gather(-1, guess[..., None]).squeeze(-1)
            codes, confidence = torch.where(hidden, guess, codes), torch.where(hidden, sure, confidence)
            current = hidden if index + 1 == self.most_steps else self._within(entropy(chance), hidden)
            hidden = hidden & ~current
            still = min(self.most_steps - index - 1, max(counts_of(hidden)))
            yield Step(codes, hidden, current, confidence, index, index + 1 + still)
            if not still:
                return

    def _within(self, entropies: Float[Tensor, "B N"], hidden: Bool[Tensor, "B N"]) -> Bool[Tensor, "B N"]:
        """The hidden cells of lowest entropy that the bound allows to settle at once; one at least."""
        ordered = entropies.masked_fill(~hidden, float("inf")).sort(dim=1).values
        others = ordered.cumsum(dim=1).roll(1, dims=1)  # the k lowest, without the largest of them
        others[:, 0] = 0
        return lowest(entropies, hidden, counts_of(others <= self.gamma))


def entropy(probabilities: Float[Tensor, "B N K"]) -> Float[Tensor, "B N"]:
    """The entropy of every cell's distribution, in nats."""
    return -torch.xlogy(probabilities, probabilities).sum(dim=-1)
