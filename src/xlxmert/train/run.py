"""A run under way: players at their seats, readings, curve and checkpoints; ``loop.train`` drives it.

On the CPU a resumed run equals an uninterrupted one bit for bit: a batch is a function of its number, the random
generators are seeded anew at every step, and a checkpoint holds weights, averages, optimisers and the half-filled
window of the curve.
"""

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.files import read_tensors
from xlxmert.core.seeds import seed_of
from xlxmert.core.task import Task
from xlxmert.train import checkpoint
from xlxmert.train.config import TrainConfig, differences, fingerprint
from xlxmert.train.feed import Feed
from xlxmert.train.logging import Curve, Progress, Readings, Window
from xlxmert.train.machine import agreed, make_accelerator, parts_of, resolve_precision
from xlxmert.train.optim import learning_rate_share, optimizer_tensors, restore_optimizers
from xlxmert.train.seat import Seat
from xlxmert.train.sharding import check_sharding

REASONS = ("", "time", "Ctrl-C", "SIGTERM")
"""Why a run may stop early; where processes have several, the last of these counts."""


class Run:
    """The state of a run: players at their seats, curve, step, and what was saved last."""

    def __init__(self, task: Task, config: TrainConfig, facts: Mapping[str, Any]) -> None:
        """Prepare the players and go on from the last checkpoint, if there is one."""
        self.task, self.config = task, config
        self.begun = self.saved_at = self.logged_at = time.monotonic()
        self.accelerator = make_accelerator(config)
        self.process: int = self.accelerator.process_index
        self.processes: int = self.accelerator.num_processes
        self.main: bool = self.accelerator.is_main_process
        self.parts = parts_of(config, self.process, self.processes)
        self.modules = {name: module.to(self.accelerator.device) for name, module in task.modules().items()}
        players = task.players()
        self.in_shards = config.sharding == "full" and self.processes > 1
        if config.sharding == "full":
            check_sharding(players, resolve_precision(config))
        self.fingerprint = fingerprint(config, task.name, players, facts)
        self.seats = [Seat(player, self.accelerator, config) for player in players]
        self._check_modules()
        self.averages = {seat.player.name: seat.average.module for seat in self.seats if seat.average is not None}
        self.root = config.out / "checkpoints"
        self.readings = Readings()
        self.means: dict[str, float] = {}
        self.step = self.saved_step = 0
        self.window = Window({})
        self._resume()
        self._check_companions()
        self.logged_step = self.step
        self.curve = self._open_curve() if self.main else None

    def advance(self, feed: Feed, progress: Progress) -> None:
        """One optimisation step of every player."""
        batches = feed.take(self.step, self.accelerator.device)
        seeds = [seed_of(self.config.seed, "step", self.step, part.index) for part in self.parts]
        share = learning_rate_share(self.config, self.step)
        scalars: dict[str, Tensor] = {}
        for seat in self.seats:
            scalars |= seat.play(batches, seeds, share, self.step + 1)
        self.step += 1
        self.readings.push(self.step, scalars)
        self.read(everything=False)
        progress.losses(self.means)
        progress.advance(self.step)

    def read(self, everything: bool) -> None:
        """Take in the scalars that have arrived: check them, and write a line of the curve where one is due.

        Raises:
            XlxmertError: a loss or a gradient is not finite.
        """
        for step, scalars in self.readings.arrived(everything):
            self.window.add(self._finite(step, scalars))
            if step % self.config.log_every == 0 or step == self.config.steps:
                self._log(step)

    def agree(self, reason: str) -> tuple[str, bool]:
        """Why to stop after this step, and whether to save: the same in all processes, if any of them has a reason."""
        stop, save = agreed(self.accelerator, REASONS.index(reason), int(bool(reason) or self.save_due()))
        return REASONS[stop], bool(save)

    def time_is_up(self) -> str:
        """A reason to stop once ``stop_after_seconds`` have passed."""
        limit = self.config.stop_after_seconds
        return "time" if limit and time.monotonic() - self.begun >= limit else ""

    def save_due(self) -> bool:
        """Whether the step or the clock asks for a checkpoint."""
        every, seconds = self.config.save_every, self.config.save_every_seconds
        by_step = self.step == self.config.steps or (every > 0 and self.step % every == 0)
        return by_step or (seconds > 0 and time.monotonic() - self.saved_at >= seconds)

    def save(self) -> None:
        """Write a checkpoint of this step; lines of the curve reach the disk before it."""
        self.read(everything=True)
        for seat in self.seats:
            seat.gather()
        tensors = self._tensors() if self.main or self.in_shards else {}
        if self.curve is not None:
            self.curve.flush()
            checkpoint.write(self.root, self.step, tensors, self._state(), self.config.keep)
        self.saved_step, self.saved_at = self.step, time.monotonic()

    def preview_if_due(self) -> None:
        """Let the task write a preview, with every module in the mode it was in before and after."""
        every = self.config.preview_every
        if not (every and (self.step % every == 0 or self.step == self.config.steps)):
            return
        for seat in self.seats:
            seat.gather()
        if not self.main:
            return
        modes = [(part, part.training) for module in self.modules.values() for part in module.modules()]
        self.task.preview(self.config.out / "preview", self.step, self.averages)
        for part, mode in modes:
            part.training = mode

    def close(self) -> None:
        """Close the curve and give the players back as they came."""
        if self.curve is not None:
            self.curve.close()
        for seat in self.seats:
            seat.close()

    def _check_modules(self) -> None:
        kept = {id(weight) for module in self.modules.values() for weight in module.parameters()}
        for seat in self.seats:
            if any(id(w) not in kept for w in seat.player.trains.parameters() if w.requires_grad):
                raise XlxmertError(
                    f"player {seat.player.name} of {self.task.name} trains weights that no checkpoint would hold: "
                    f"add its module to modules(), which has {sorted(self.modules)}"
                )

    def _check_companions(self) -> None:
        """Make sure that all processes go on from the same step."""
        last, first = agreed(self.accelerator, self.step, -self.step)
        if last != -first:
            raise XlxmertError(
                f"expected every process to see the same checkpoints in {self.root}, found steps {-first} to {last}: "
                "choose an --out that all machines share"
            )

    def _resume(self) -> None:
        folder = checkpoint.latest(self.root)
        if folder is not None and self.config.resume == "never":
            raise UsageError(
                f"expected a fresh folder for the run, found {folder}: "
                "choose another --out, or pass --resume auto to go on"
            )
        if self.main:
            checkpoint.clean(self.root)
        if folder is None:
            for seat in self.seats:
                seat.start()
            return
        state = checkpoint.load_state(folder)
        if changed := differences(state["config"], self.fingerprint):
            raise XlxmertError(
                f"{folder} was made with {', '.join(changed)}: "
                "take the earlier values to go on, or choose another --out"
            )
        try:
            self._load(folder, state)
        except XlxmertError as error:
            raise XlxmertError(f"{error}; delete {folder} to go on from the checkpoint before it") from error

    def _load(self, folder: Path, state: Mapping[str, Any]) -> None:
        for name, module in self.modules.items():
            checkpoint.load_module(folder / f"{name}.safetensors", module)
        for seat in self.seats:
            name = seat.player.name
            if seat.average is not None:
                checkpoint.load_module(folder / f"{name}.ema.safetensors", seat.average.module)
            seat.start()
            tensors, _ = read_tensors(folder / f"{name}.moments.safetensors")
            restore_optimizers(seat.optimizers, seat.trains, tensors)
        if state["scaler"] and self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self.step = self.saved_step = int(state["step"])
        self.window, self.means = Window(state["window"]), state["means"]

    def _tensors(self) -> dict[str, Mapping[str, Tensor]]:
        tensors: dict[str, Mapping[str, Tensor]] = {name: module.state_dict() for name, module in self.modules.items()}
        for seat in self.seats:
            name = seat.player.name
            tensors[f"{name}.moments"] = optimizer_tensors(seat.optimizers, seat.trains)
            if seat.average is not None:
                tensors[f"{name}.ema"] = seat.average.module.state_dict()
        return tensors

    def _state(self) -> dict[str, Any]:
        scaler = self.accelerator.scaler
        return {
            "config": self.fingerprint,
            "window": self.window.state(),
            "means": self.means,
            "scaler": scaler.state_dict() if scaler is not None else {},
        }

    def _open_curve(self) -> Curve:
        try:
            self.config.out.mkdir(parents=True, exist_ok=True)
            return Curve(self.config.out, self.step, self.config.tensorboard)
        except OSError as error:
            out = self.config.out
            raise XlxmertError(f"could not open the curve in {out}: {error}: choose another --out") from error

    def _log(self, step: int) -> None:
        share = learning_rate_share(self.config, step - 1)
        rates = {f"{seat.player.name}/lr": seat.player.optim.lr * share for seat in self.seats}
        self.means = {**self.window.means(), **rates}
        self.window.clear()
        if self.curve is not None:
            now = time.monotonic()
            speed = (step - self.logged_step) / max(now - self.logged_at, 1e-9)
            timing = {"seconds": round(now - self.begun, 3), "steps_per_second": round(speed, 2)}
            self.curve.write(step, self.means, timing)
            self.logged_step, self.logged_at = step, now

    def _finite(self, step: int, scalars: Mapping[str, float]) -> dict[str, float]:
        finite = {name: value for name, value in scalars.items() if math.isfinite(value)}
        for name, value in scalars.items():
            player, _, what = name.partition("/")
            skipped = what == "norm" and self.accelerator.scaler is not None  # under fp16 the scaler lowers its scale
            if name in finite or skipped:
                continue
            last = checkpoint.latest(self.root)
            found = f"a {'gradient norm' if what == 'norm' else what} of {value}"
            raise XlxmertError(
                f"expected finite numbers, found {found} for player {player} at step {step} of {self.task.name}; "
                f"{f'{last} is unharmed' if last else 'nothing was saved yet'}: "
                "lower the learning rate, or pass --precision fp32"
            )
        return finite
