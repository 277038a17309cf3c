"""One player at work: its turn in an optimisation step, its optimiser and its moving average."""

import contextlib
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from xlxmert.core.errors import XlxmertError
from xlxmert.core.task import Player
from xlxmert.train.config import TrainConfig
from xlxmert.train.ema import Average, warmed_decay
from xlxmert.train.layers import keep, recompute
from xlxmert.train.machine import added_up, seed_draws
from xlxmert.train.optim import clip_gradients, make_optimizers, set_learning_rates
from xlxmert.train.sharding import Sharded


class Seat:
    """What the loop keeps for a player; only ``player.trains`` changes during its turn.

    Raises:
        XlxmertError: nothing in ``player.trains`` wants a gradient.
    """

    optimizers: list[torch.optim.Optimizer]
    module: nn.Module
    trains: nn.Module
    weights: list[nn.Parameter]
    """Of ``trains``; see `start`."""

    def __init__(self, player: Player, accelerator: Any, config: TrainConfig) -> None:
        """Move the player to the device, in training mode; it is to start when its weights are what they shall be."""
        self.player, self.accelerator, self.config = player, accelerator, config
        player.module.to(accelerator.device).train()
        if not any(weight.requires_grad for weight in player.trains.parameters()):
            kind = type(player.trains).__name__
            raise XlxmertError(f"player {player.name} has nothing to train: no weight of {kind} wants a gradient")
        self.average = Average(player.trains) if player.ema and config.ema > 0 else None
        self.sharded: Sharded | None = None

    def start(self) -> None:
        """Bring the network to the processes and make its optimisers; every process calls this at the same time."""
        player, accelerator = self.player, self.accelerator
        if self.config.checkpointing:
            recompute(player.module)
        self.module, self.trains = player.module, player.trains
        if accelerator.num_processes > 1 and self.config.sharding == "full":
            self.sharded = Sharded(player)
            self.module, self.trains = self.sharded.module, self.sharded.trains
        self.weights = [weight for weight in self.trains.parameters() if weight.requires_grad]
        if self.average is not None and self.sharded is not None:
            self.average.follow(self.weights)
        mine = {id(weight) for weight in self.weights}
        self.others = [w for w in self.module.parameters() if w.requires_grad and id(w) not in mine]
        self.optimizers = make_optimizers(self.trains, player.optim)
        # accelerate's wrapper serves fp16's loss scaler; without one it only adds a third of a millisecond per step
        scales = accelerator.scaler is not None
        self.scaled = [accelerator.prepare_optimizer(one) for one in self.optimizers] if scales else []
        if accelerator.num_processes > 1 and self.sharded is None:
            self._share()

    def gather(self) -> None:
        """Give the plain network and the plain average what the shards hold; every process calls this together."""
        if self.sharded is not None:
            self.sharded.gather()
            if self.average is not None:
                self.average.gather()

    def _share(self) -> None:
        """Let gradients be averaged over the processes."""
        self.freeze_others(True)
        with warnings.catch_warnings():  # newer PyTorch has another name for broadcast_buffers
            warnings.simplefilter("ignore", FutureWarning)
            self.module = self.accelerator.prepare_model(self.player.module)
        self.freeze_others(False)

    def play(self, batches: Sequence[Any], seeds: Sequence[int], share: float, step: int) -> dict[str, Tensor]:
        """One optimisation step.

        Args:
            batches: this process's parts of the batch.
            seeds: one for each, of whatever its forward pass draws.
            share: of the peak learning rate.
            step: counted from 1.

        Returns:
            The whole batch's scalars by player/name.
        """
        set_learning_rates(self.optimizers, share)
        self.clear()
        self.freeze_others(True)
        scalars = self._gradients(batches, seeds)
        self.freeze_others(False)
        if self.scaled:
            self.accelerator.unscale_gradients(self.scaled)
        norm = clip_gradients([w.grad for w in self.weights if w.grad is not None], self.player.optim.clip)
        for optimizer in self.scaled or self.optimizers:
            optimizer.step()
        if self.average is not None:
            self.average.update(warmed_decay(self.config.ema, step))
        return {**scalars, f"{self.player.name}/norm": norm}

    def close(self) -> None:
        """Give the player back as it came."""
        if self.sharded is None and self.accelerator.num_processes > 1:
            self.accelerator.unwrap_model(self.module, keep_fp32_wrapper=False)
        keep(self.player.module)
        self.clear()

    def clear(self) -> None:
        """Drop the gradients."""
        for weight in self.weights:
            weight.grad = None

    def freeze_others(self, frozen: bool) -> None:
        """Whether the weights of ``module`` that belong to somebody else go without a gradient."""
        for weight in self.others:
            weight.requires_grad_(not frozen)

    def _gradients(self, batches: Sequence[Any], seeds: Sequence[int]) -> dict[str, Tensor]:
        sums: dict[str, Tensor] = {}
        for number, (batch, seed) in enumerate(zip(batches, seeds, strict=True), start=1):
            seed_draws(self.accelerator.device, seed)
            alone = self.accelerator.num_processes == 1
            with contextlib.nullcontext() if alone or number == len(batches) else self._unsynchronised():
                scalars = self._backward(batch)
            for name, value in scalars.items():
                sums[name] = sums[name] + value if name in sums else value
        return added_up(self.accelerator, sums)

    def _backward(self, batch: Any) -> dict[str, Tensor]:
        with self.accelerator.autocast():
            scalars = self.module(batch)
        if "loss" not in scalars:
            raise XlxmertError(f"expected player {self.player.name} to give a loss, found only {sorted(scalars)}")
        # gradients are averaged over the processes, losses of parts add up
        self.accelerator.backward(scalars["loss"].float() * self.accelerator.num_processes)
        return {f"{self.player.name}/{name}": value.detach().float() for name, value in scalars.items()}

    def _unsynchronised(self) -> Any:
        """While a part that is not the last one has its turn: gradients stay with their process, unless in shards."""
        if self.sharded is not None:
            return contextlib.nullcontext()
        return self.accelerator.no_sync(self.module)
