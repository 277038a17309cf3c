"""What the training loop needs of a task: players with losses, batches by step number, and the modules to keep.

It stands on the lowest floor because tasks (which implement it) and the loop (which calls it) share a floor and may not
import each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from torch import nn

from xlxmert.core.errors import XlxmertError


@dataclass(frozen=True)
class Part:
    """One of ``count`` nearly equal pieces of a batch, which processes and forward passes share out among them.

    Raises:
        XlxmertError: there is no such piece.
    """

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        """Check the range."""
        if not 0 <= self.index < self.count:
            raise XlxmertError(f"expected a part below {self.count}, found {self.index}: count parts from 0")

    def rows(self, size: int) -> slice:
        """Its rows in a batch of ``size``; the parts follow each other and fill the batch."""
        return slice(size * self.index // self.count, size * (self.index + 1) // self.count)

    def share(self, size: int) -> float:
        """How much of a batch of ``size`` its rows are, in [0, 1]: what a mean over them counts in the whole's."""
        rows = self.rows(size)
        return len(range(size)[rows]) / size


WHOLE = Part()
"""The whole batch as its only part."""


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
    """``forward(batch)`` gives scalars by name; ``loss`` is minimised, the others are logged. The scalars of a batch's
    parts add up to those of the whole batch, so a part's sums are divided by what the whole batch has."""
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

    def batch(self, step: int, size: int, part: Part = WHOLE) -> Any:
        """The batch of a step, on the CPU: a pure function of the task's seed, ``step`` and ``size``.

        With a ``part``, its rows of that batch, whatever the other parts draw; only its own pictures are read.
        """

    def preview(self, folder: Path, step: int, averages: Mapping[str, nn.Module]) -> None:
        """Write what a person would like to look at; ``averages`` holds the moving averages, by player."""
