"""One player at work: its turn in an optimisation step, its optimiser and its moving average."""

import contextlib
import warnings
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from xlxmert.core.errors import XlxmertError
from xlxmert.core.task import Player
from xlxmert.train.config import TrainConfig
from xlxmert.train.ema import Average, warmed_decay
from xlxmert.train.machine import added_up, seed_draws
from xlxmert.train.optim import clip_gradients, make_optimizers, set_learning_rates


class Seat:
    """What the loop keeps for a player; only ``player.trains`` changes during its turn.

    Raises:
        XlxmertError: nothing in ``player.trains`` wants a gradient.
    """

    def __init__(self, player: Player, accelerator: Any, config: TrainConfig) -> None:
        """Move the player to the device, in training mode."""
        self.player, self.accelerator, self.ema = player, accelerator, config.ema
        player.module.to(accelerator.device).train()
        self.weights = [weight for weight in player.trains.parameters() if weight.requires_grad]
        if not self.weights:
            kind = type(player.trains).__name__
            raise XlxmertError(f"player {player.name} has nothing to train: no weight of {kind} wants a gradient")
        mine = {id(weight) for weight in self.weights}
        self.others = [w for w in player.module.parameters() if w.requires_grad and id(w) not in mine]
        self.average = Average(player.trains) if player.ema and config.ema > 0 else None
        self.optimizers = make_optimizers(player.trains, player.optim)
        # accelerate's wrapper serves fp16's loss scaler; without one it only adds a third of a millisecond per step
        scales = accelerator.scaler is not None
        self.scaled = [accelerator.prepare_optimizer(one) for one in self.optimizers] if scales else []
        self.module: nn.Module = player.module
        if accelerator.num_processes > 1:
            self.freeze_others(True)
            with warnings.catch_warnings():  # newer PyTorch has another name for broadcast_buffers
                warnings.simplefilter("ignore", FutureWarning)
                self.module = accelerator.prepare_model(player.module)
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
            self.average.update(warmed_decay(self.ema, step))
        return {**scalars, f"{self.player.name}/norm": norm}

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
        """While a part that is not the last one has its turn: gradients stay with their process."""
        return self.accelerator.no_sync(self.module)
