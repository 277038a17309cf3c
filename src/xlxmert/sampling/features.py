"""Painting without codes: a network that regresses features fills hidden cells, ever fewer at a time.

It is what LXMERT can do before it becomes X-LXMERT (X-LXMERT, sections 4.1 and 4.3). A regressed feature has no
probability, so the cells of a step are drawn at random instead of by confidence.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from xlxmert.core.axes import Bool, Float, Tensor
from xlxmert.core.errors import UsageError
from xlxmert.sampling.draws import uniform
from xlxmert.sampling.schedules import linear_decay
from xlxmert.sampling.steps import counts_of, lowest

FeatureNetwork = Callable[[Float[Tensor, "B N F"], Bool[Tensor, "B N"]], Float[Tensor, "B N F"]]
"""``network(features, hidden)`` gives features for every cell; it must not look at ``features`` where ``hidden``."""


@dataclass(frozen=True)
class FeatureGibbs:
    """Gibbs sampling of features with Mask-Predict's numbers: all unknown cells, then K - 1 times fewer, at random."""

    steps: int = 4
    """Forward passes (K); as many as cells, with one cell a step, is the paper's autoregressive sampling."""

    def __post_init__(self) -> None:
        """Refuse fewer than one step."""
        if self.steps < 1:
            raise UsageError(f"expected at least 1 step, found {self.steps}: try 4")

    @torch.no_grad()
    def run(
        self,
        network: FeatureNetwork,
        features: Float[Tensor, "B N F"],
        unknown: Bool[Tensor, "B N"],
        seeds: Sequence[int],
    ) -> Iterator[Float[Tensor, "B N F"]]:
        """Yield the features after every step; cells outside ``unknown`` keep theirs."""
        counts, hidden = counts_of(unknown), unknown
        for index in range(self.steps):
            features = torch.where(hidden[..., None], network(features, hidden).float(), features)
            yield features
            order = uniform(seeds, index, features.shape[1]).to(features.device)
            hidden = lowest(order, unknown, [linear_decay(self.steps, index + 1, count) for count in counts])
