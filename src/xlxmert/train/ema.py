"""The exponential moving average of a player's weights, kept for previews and the finished model."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from xlxmert.train.sharding import like, whole


def warmed_decay(decay: float, step: int) -> float:
    """The decay at a step counted from 1: short memory at first, ``decay`` in the long run."""
    return min(decay, (1 + step) / (10 + step))


class Average:
    """A copy of ``source`` whose weights follow a moving average of it; buffers are copied as they are."""

    def __init__(self, source: nn.Module) -> None:
        """Begin with the weights as they are."""
        self.module = copy.deepcopy(source).eval().requires_grad_(False)
        pairs = [(a, p) for a, p in zip(self.module.parameters(), source.parameters(), strict=True) if p.requires_grad]
        self._averages: list[Tensor] = [average for average, _ in pairs]
        self._weights: list[Tensor] = [weight for _, weight in pairs]
        self._kept: list[Tensor] = []
        self._copies = list(self.module.buffers())
        self._buffers = list(source.buffers())

    def follow(self, weights: Sequence[Tensor]) -> None:
        """Follow shards of the weights from now on; the module shows them after `gather`."""
        self._kept, self._weights = self._averages, list(weights)
        self._averages = [like(average, weight) for average, weight in zip(self._kept, weights, strict=True)]

    @torch.no_grad()
    def gather(self) -> None:
        """Give the module the present averages; every process calls this at the same time."""
        for kept, average in zip(self._kept, self._averages, strict=True):
            kept.copy_(whole(average))

    @torch.no_grad()
    def update(self, decay: float) -> None:
        """Move every averaged weight towards the present one: ``average * decay + weight * (1 - decay)``."""
        torch._foreach_lerp_(self._averages, self._weights, 1.0 - decay)
        for kept, buffer in zip(self._copies, self._buffers, strict=True):
            kept.copy_(buffer)
