"""The training loop: every player takes its turn at every step; stopped at any moment, a run goes on where it was."""

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from xlxmert.core.errors import XlxmertError
from xlxmert.core.files import locked
from xlxmert.core.processes import is_main
from xlxmert.core.task import Task
from xlxmert.train.config import TrainConfig
from xlxmert.train.feed import Feed
from xlxmert.train.interrupt import StopWish
from xlxmert.train.logging import Progress
from xlxmert.train.machine import companions
from xlxmert.train.run import Run


@dataclass(frozen=True)
class TrainReport:
    """How a run ended; the trained weights are in the task's own modules."""

    step: int
    """Steps done, those before a resumption included."""
    finished: bool
    """Whether all steps are done, rather than the time being up."""
    seconds: float
    """Time of this call."""
    checkpoint: Path
    """Folder of the last checkpoint."""
    means: Mapping[str, float]
    """The last line of the curve."""
    averages: Mapping[str, nn.Module]
    """The moving averages, by player."""


class Stopped(XlxmertError):
    """The user stopped the run; it is saved."""


def train(task: Task, config: TrainConfig, facts: Mapping[str, Any] | None = None) -> TrainReport:
    """Train ``task`` as ``config`` says, going on from the last checkpoint in ``config.out`` if there is one.

    Args:
        task: players, batches and modules; its modules are trained in place.
        config: the settings.
        facts: more of what decides the outcome (the task's own settings); a resumed run must agree with them.

    Raises:
        Stopped: Ctrl-C or SIGTERM; the run is saved.
        XlxmertError: the disk is full, a loss is not finite, another process trains in the folder, or the checkpoint
            there was made with other settings.
        UsageError: ``resume="never"`` and the folder holds a run.
    """
    with companions(), contextlib.ExitStack() as stack:
        if is_main():
            stack.enter_context(locked(config.out))
        run = Run(task, config, facts or {})
        feed = Feed(task, config.batch_size, config.steps, run.parts)
        stack.callback(feed.close)
        stack.callback(run.close)
        wish = stack.enter_context(StopWish(config.quiet or not run.main, run.processes > 1))
        progress = stack.enter_context(Progress(task.name, run.step, config.steps, config.quiet or not run.main))
        reason = ""
        while run.step < config.steps and not reason:
            run.advance(feed, progress)
            reason, save = run.agree(wish.asked or run.time_is_up())
            if save:
                run.save()
            run.preview_if_due()
        return _report(run, reason)


def _report(run: Run, reason: str) -> TrainReport:
    folder = run.root / f"step-{run.saved_step:06d}"
    finished = run.step >= run.config.steps
    if not finished and reason != "time":
        again = "the same command" if run.config.resume == "auto" else "it with --resume auto"
        raise Stopped(
            f"stopped by {reason} after step {run.step} of {run.config.steps}, saved in {folder}: run {again} to go on"
        )
    seconds = time.monotonic() - run.begun
    return TrainReport(run.step, finished, seconds, folder, dict(run.means), dict(run.averages))
