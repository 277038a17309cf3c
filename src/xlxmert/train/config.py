"""What a training run is told (length, schedule, precision, saving), and which of it a resumed run may change."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from xlxmert.core.errors import UsageError
from xlxmert.core.task import Player

FREE = frozenset({
    "out", "steps", "log_every", "save_every", "save_every_seconds", "preview_every", "keep", "resume",
    "stop_after_seconds", "device", "quiet", "tensorboard", "accumulate", "checkpointing", "sharding", "processes",
})  # fmt: skip
"""Fields that a resumed run may set anew: they do not change what a step computes. Neither does the number of
processes, which earlier checkpoints named; with dropout, ``processes * accumulate`` decides what is drawn."""


@dataclass(frozen=True)
class TrainConfig:
    """Settings of a training run, whatever the task.

    Raises:
        UsageError: a value lies outside its range; the message names the field.
    """

    out: Path
    """Folder of the run: checkpoints, curves, previews."""
    steps: int = 1000
    """Optimisation steps of the whole run; the learning rate's schedule spans them."""
    batch_size: int = 32
    """Examples of an optimisation step, those of all processes together."""
    accumulate: int = 1
    """Forward passes in which a process computes its share of a batch, one after another: the same gradients for less
    memory."""
    checkpointing: bool = False
    """Keep only what enters a layer and compute the rest once more for the gradients: the same gradients for less
    memory and about a third more work."""
    sharding: Literal["none", "full"] = "none"
    """none: every process holds the whole model (DDP); full: weights, gradients and optimiser are spread over the
    processes (FSDP)."""
    warmup: float = 0.0
    """Steps in which the learning rate rises to its peak; below 1, a share of all steps."""
    decay: Literal["linear", "cosine", "constant", "inverse_sqrt"] = "linear"
    """How the learning rate falls after the warm-up."""
    final_share: float = 0.0
    """Share of the peak learning rate that the decay ends at (inverse_sqrt: never goes below)."""
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    """Arithmetic of the forward pass; auto is bf16 where the hardware has it, else fp32."""
    ema: float = 0.0
    """Decay of the moving average of the weights, warmed up as min(ema, (1 + t) / (10 + t)); 0 keeps none."""
    seed: int = 0
    """Seed of dropout and of whatever else a step draws."""
    log_every: int = 10
    """Steps between two lines of the curve; a line holds means over those steps."""
    save_every: int = 0
    """Steps between two checkpoints; 0 leaves it to the clock."""
    save_every_seconds: float = 180.0
    """Seconds between two checkpoints; 0 leaves it to save_every. The last step is always saved."""
    preview_every: int = 0
    """Steps between two previews; 0 for none."""
    keep: int = 2
    """Checkpoints to keep."""
    resume: Literal["auto", "never"] = "auto"
    """auto goes on from the last checkpoint in the folder; never refuses a folder that holds one."""
    stop_after_seconds: float = 0.0
    """Finish the step, save and return when this time is up; 0 for no limit."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train."""
    tensorboard: bool = True
    """Write TensorBoard curves too, if TensorBoard is installed."""
    quiet: bool = False
    """Show no progress."""

    def __post_init__(self) -> None:
        """Check every range."""
        for field in ("steps", "batch_size", "accumulate", "log_every", "keep"):
            _check(field, getattr(self, field), getattr(self, field) >= 1, "1 or more")
        for field in ("warmup", "save_every", "save_every_seconds", "preview_every", "stop_after_seconds"):
            _check(field, getattr(self, field), getattr(self, field) >= 0, "0 or more")
        _check("accumulate", self.accumulate, self.accumulate <= self.batch_size, f"at most {self.batch_size} forward "
               "passes, one for each example of a batch")  # fmt: skip
        _check("final_share", self.final_share, 0 <= self.final_share <= 1, "a share in [0, 1]")
        _check("ema", self.ema, 0 <= self.ema < 1, "a decay in [0, 1)")
        _check("warmup", self.warmup, self.warmup_steps <= self.steps, f"at most the run's {self.steps} steps")

    @property
    def warmup_steps(self) -> int:
        """Steps of the warm-up, whether it was given in steps or as a share."""
        return round(self.warmup * self.steps) if self.warmup < 1 else round(self.warmup)


def _check(field: str, value: Any, good: bool, expected: str) -> None:
    if not good:
        flag = field.replace("_", "-")
        raise UsageError(f"{field} must be {expected} (found {value}): pass another --{flag}")


def fingerprint(config: TrainConfig, task: str, players: Sequence[Player], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that decides what a step computes, as JSON values by name; ``facts`` is what the caller adds."""
    fields: dict[str, Any] = {"task": task}
    fields |= {name: value for name, value in dataclasses.asdict(config).items() if name not in FREE}
    for player in players:
        fields |= {f"{player.name}.{name}": value for name, value in dataclasses.asdict(player.optim).items()}
    whole: dict[str, Any] = json.loads(json.dumps({**fields, **facts}, default=str))
    return whole


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """One entry, ``name=then (now: value)``, for each field in which two fingerprints differ."""
    names = [name for name in {**then, **now} if name not in FREE and then.get(name) != now.get(name)]
    return [f"{name}={then.get(name)} (now: {now.get(name)})" for name in names]
