"""A network spread over processes: each holds a share of every weight and puts a layer together when it is entered.

PyTorch's `fully_shard` (FSDP2). The plain network stays as it was beside its sharded copy, on every process, so that
checkpoints, previews and whoever uses the network after training see what they always see.
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from xlxmert.core.errors import UsageError
from xlxmert.core.task import Player
from xlxmert.nn.blocks import DecoderLayer
from xlxmert.train.layers import layers_of


def check_sharding(players: Sequence[Player], precision: str) -> None:
    """Complain about what cannot be trained in shards.

    Raises:
        UsageError: several players share weights, Muon needs whole matrices, or fp16's loss scaler does.
    """
    optim, names = players[0].optim, ", ".join(player.name for player in players)
    wrong = {
        f"one network to train, found {len(players)} ({names}): leave --sharding": len(players) > 1,
        f"AdamW alone, found muon_lr {optim.muon_lr}, and Muon needs whole matrices: set muon_lr to 0": optim.muon_lr,
        "bf16 or fp32, found fp16, whose loss scaler would see shards: pass --precision bf16": precision == "fp16",
    }
    for text, found in wrong.items():
        if found:
            raise UsageError(f"sharding full expects {text}, or take --sharding none")


class Sharded:
    """A sharded copy of a player's network, and the way back."""

    def __init__(self, player: Player) -> None:
        """Copy and shard; every process calls this at the same time."""
        self.player = player
        self.module = sharded(copy.deepcopy(player.module))
        names = [name for name, part in player.module.named_modules() if part is player.trains]
        self.trains = self.module.get_submodule(names[0])

    @torch.no_grad()
    def gather(self) -> None:
        """Give the plain network the present weights; every process calls this at the same time."""
        present = dict(self.trains.named_parameters())
        for name, weight in self.player.trains.named_parameters():
            weight.copy_(whole(present[name]))
        for kept, buffer in zip(self.player.trains.buffers(), self.trains.buffers(), strict=True):
            kept.copy_(buffer)


def sharded(module: nn.Module) -> nn.Module:
    """Shard a network in place, layer by layer; what a model enters by more ways than calls goes with the rest."""
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

    for layer in layers_of(module):
        if not isinstance(layer, DecoderLayer):
            fully_shard(layer)
            for entry in layer.entries[1:]:  # type: ignore[index]
                register_fsdp_forward_method(layer, entry)
    fully_shard(module)
    return module


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor; for a shard every process calls this at the same time."""
    full: Any = getattr(tensor, "full_tensor", None)
    return tensor if full is None else full()


def like(tensor: Tensor, model: Tensor) -> Tensor:
    """A copy of a whole tensor, laid out in memory or over the processes as ``model`` is."""
    if not hasattr(model, "full_tensor"):
        return torch.empty_like(model, requires_grad=False).copy_(tensor)
    from torch.distributed.tensor import distribute_tensor

    shard: Any = model
    return distribute_tensor(tensor.to(shard.device, shard.dtype), shard.device_mesh, shard.placements)
