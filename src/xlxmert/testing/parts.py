"""The promise on which training with many processes stands: parts of a batch add up to the batch."""

from typing import Any

import torch
from torch import Tensor

from xlxmert.core.task import Part, Player, Task


def assert_parts_add_up(task: Task, step: int, size: int, count: int) -> None:
    """Check that ``count`` parts of a batch have its losses, scalars and gradients, without dropout.

    Raises:
        AssertionError: they have not.
    """
    for player in task.players():
        player.module.eval()
        whole, gradient = _told(player, [task.batch(step, size)])
        parts, summed = _told(player, [task.batch(step, size, Part(index, count)) for index in range(count)])
        assert parts.keys() == whole.keys(), (parts.keys(), whole.keys())
        for name, value in whole.items():
            torch.testing.assert_close(parts[name], value, atol=1e-5, rtol=1e-4, msg=f"{name} of {player.name}")
        assert float(gradient.norm()) > 0
        torch.testing.assert_close(summed, gradient, atol=1e-5, rtol=1e-3)


def _told(player: Player, batches: list[Any]) -> tuple[dict[str, Tensor], Tensor]:
    """Sums of the scalars, and of all gradients in one row."""
    sums: dict[str, Tensor] = {}
    weights = [weight for weight in player.trains.parameters() if weight.requires_grad]
    for weight in weights:
        weight.grad = None
    for batch in batches:
        scalars = player.module(batch)
        scalars["loss"].backward()
        for name, value in scalars.items():
            sums[name] = sums.get(name, torch.zeros(())) + value.detach()
    return sums, torch.cat([torch.zeros_like(w).flatten() if w.grad is None else w.grad.flatten() for w in weights])
