"""What the training loop needs of a task: players with losses, batches by step number, and the modules to keep.

It stands on the lowest floor because tasks (which implement it) and the loop (which calls it) share a floor and may not
import each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from torch import nn


@dataclass(frozen=True)
class OptimConfig:
    """The optimiser's settings for one player: AdamW, with Muon for the inner matrices if asked."""

    lr: float = 1e-3
    """Peak learning rate of AdamW."""
    muon_lr: float = 0.0
    """Peak learning rate of Muon (Jordan 2024) for the matrices of a network's repeated layers; 0: AdamW has them."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay rates of the first and second moment."""
    weight_decay: float = 0.0
    """Decoupled weight decay; biases and norms are exempt."""
    eps: float = 1e-8
    """Added to the root of the second moment."""
    clip: float = 1.0
    """Largest gradient norm; 0 leaves gradients alone."""


@dataclass(frozen=True)
class Player:
    """One loss with its own optimiser: a plain task has one, an adversarial task two."""

    name: str
    module: nn.Module
    """``forward(batch)`` gives scalars by name; ``loss`` is minimised, the others are logged."""
    optim: OptimConfig
    trains: nn.Module
    """The part of ``module`` that this player updates; everything else in it stays untouched."""
    ema: bool = False
    """Keep an exponential moving average of ``trains``."""


@runtime_checkable
class Task(Protocol):
    """A training task; see ``xlxmert.tasks`` for those that exist."""

    name: str

    def players(self) -> Sequence[Player]:
        """Whoever takes an optimisation step, in order, at every step."""

    def modules(self) -> Mapping[str, nn.Module]:
        """The modules that a checkpoint holds, by file name."""

    def batch(self, step: int, size: int) -> Any:
        """The batch of a (micro-)step, on the CPU: a pure function of the task's seed, ``step`` and ``size``."""

    def preview(self, folder: Path, step: int, averages: Mapping[str, nn.Module]) -> None:
        """Write what a person would like to look at; ``averages`` holds the moving averages, by player."""
