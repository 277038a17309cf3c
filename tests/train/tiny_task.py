"""A task small enough to train in a second: two players, dropout, an average; run as a script to be killed."""

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from xlxmert.core.errors import XlxmertError
from xlxmert.core.seeds import torch_generator
from xlxmert.core.task import WHOLE, OptimConfig, Part, Player
from xlxmert.train import TrainConfig, train


class Regression(nn.Module):
    """A perceptron with dropout and normalisation that learns a fixed function."""

    def __init__(self, drop: float) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 16), nn.LayerNorm(16), nn.GELU(), nn.Dropout(drop), nn.Linear(16, 1))
        self.hook: Callable[[], None] = lambda: None

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        self.hook()
        error = self.net(batch["x"]) - batch["y"]
        return {"loss": error.square().sum() / batch["size"], "absolute": error.abs().sum() / batch["size"]}


class Critic(nn.Module):
    """Learns to predict the other player's error; holds that player's weights without training them."""

    def __init__(self, watched: Regression) -> None:
        super().__init__()
        self.watched = watched
        self.own = nn.Linear(4, 1)

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        error = self.watched.net(batch["x"]) - batch["y"]
        return {"loss": (self.own(batch["x"]) - error).square().sum() / batch["size"]}


class TinyTask:
    """Two players on a fixed regression; ``hook`` runs inside every forward pass of the first."""

    name = "tiny"

    def __init__(self, lr: float = 1e-2, drop: float = 0.3, clip: float = 1.0, weight_decay: float = 0.01) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.regression = Regression(drop)
            self.critic = Critic(self.regression)
        self.optim = OptimConfig(lr=lr, clip=clip, weight_decay=weight_decay)
        self.previews: list[tuple[int, list[str]]] = []
        self.asked: list[tuple[int, Part]] = []

    def players(self) -> Sequence[Player]:
        return [
            Player("model", self.regression, self.optim, self.regression, ema=True),
            Player("critic", self.critic, self.optim, self.critic.own),
        ]

    def modules(self) -> Mapping[str, nn.Module]:
        return {"model": self.regression, "critic": self.critic.own}

    def batch(self, step: int, size: int, part: Part = WHOLE) -> Any:
        self.asked.append((step, part))
        x = torch.randn(size, 4, generator=torch_generator("tiny", step))[part.rows(size)]
        return {"x": x, "y": x.sum(1, keepdim=True), "size": size}

    def preview(self, folder: Path, step: int, averages: Mapping[str, nn.Module]) -> None:
        self.regression.eval()
        self.previews.append((step, sorted(averages)))


def at_step(task: TinyTask, step: int, act: Callable[[], None]) -> TinyTask:
    """Let ``act`` run during the forward pass of this step (from 1), counted from now."""
    count = 0

    def hook() -> None:
        nonlocal count
        count += 1
        if count == step:
            act()

    task.regression.hook = hook
    return task


def interrupt() -> None:
    """What Ctrl-C does."""
    os.kill(os.getpid(), signal.SIGINT)


def settings(out: Path, **fields: Any) -> TrainConfig:
    """Settings for the tiny task that write little and print nothing."""
    defaults: dict[str, Any] = dict(
        steps=20,
        batch_size=8,
        ema=0.99,
        log_every=3,
        save_every_seconds=0.0,
        device="cpu",
        tensorboard=False,
        quiet=True,
    )
    return TrainConfig(out=out, **(defaults | fields))


def main(out: str, steps: str, save_every: str, pause: str) -> int:
    """Train in this process, pausing at every step, as a command line would."""
    torch.set_num_threads(1)
    task = TinyTask()
    task.regression.hook = lambda: time.sleep(float(pause))
    try:
        train(task, settings(Path(out), steps=int(steps), save_every=int(save_every), quiet=False, keep=2))
    except XlxmertError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
