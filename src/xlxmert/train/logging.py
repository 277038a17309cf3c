"""What a person sees of a run: curves as JSON lines and for TensorBoard, a progress bar, and the readings behind them.

``curve.jsonl`` is a pure function of the run and holds no clock; seconds and speed stand in ``timing.jsonl`` beside it.
"""

import errno
import importlib.util
import json
import os
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any

import rich.console
import rich.progress
import torch
from torch import Tensor

from xlxmert.core.errors import XlxmertError
from xlxmert.core.files import write_bytes


class Readings:
    """Scalars on their way from the device; a GPU's are read one step late, so that reading never waits for it."""

    def __init__(self) -> None:
        """Wait for nothing yet."""
        self._queue: deque[tuple[int, list[str], Tensor, torch.cuda.Event | None]] = deque()

    def push(self, step: int, values: Mapping[str, Tensor]) -> None:
        """Send the scalars of a step on their way."""
        vector = torch.stack([value.detach().float().reshape(()) for value in values.values()])
        event = None
        if vector.is_cuda:
            vector, event = vector.to("cpu", non_blocking=True), torch.cuda.Event()  # type: ignore[no-untyped-call]
            event.record()
        self._queue.append((step, list(values), vector, event))

    def arrived(self, everything: bool = False) -> Iterator[tuple[int, dict[str, float]]]:
        """Step and scalars of whatever has arrived, in order; ``everything`` waits for the rest."""
        while self._queue and (everything or len(self._queue) > 1 or self._queue[0][3] is None):
            step, names, vector, event = self._queue.popleft()
            if event is not None:
                event.synchronize()
            yield step, dict(zip(names, vector.tolist(), strict=True))


class Window:
    """Means since the last line of the curve; its state travels with a checkpoint, so a resumed line is the same."""

    def __init__(self, state: Mapping[str, Sequence[float]]) -> None:
        """Go on from what ``state`` gave."""
        self._sums: dict[str, list[float]] = {name: list(entry) for name, entry in state.items()}

    def add(self, values: Mapping[str, float]) -> None:
        """Count one step's scalars in; a name may be missing at some steps."""
        for name, value in values.items():
            entry = self._sums.setdefault(name, [0.0, 0.0])
            entry[0] += value
            entry[1] += 1.0

    def means(self) -> dict[str, float]:
        """The mean of each name over the steps that had it."""
        return {name: total / count for name, (total, count) in sorted(self._sums.items())}

    def clear(self) -> None:
        """Begin anew."""
        self._sums = {}

    def state(self) -> dict[str, list[float]]:
        """Sum and count of each name, for a checkpoint."""
        return {name: list(entry) for name, entry in self._sums.items()}


class Curve:
    """The curves of a run in ``out``; lines after step ``after`` are cut first, so a resumed run writes them once.

    Raises:
        XlxmertError: a line cannot be written.
    """

    def __init__(self, out: Path, after: int, tensorboard: bool) -> None:
        """Cut and open the files."""
        self._files: dict[str, FileIO] = {}
        for name in ("curve.jsonl", "timing.jsonl"):
            path = out / name
            _cut(path, after)
            self._files[name] = path.open("ab", buffering=0)
        self._board = _board(out / "tensorboard", after) if tensorboard else None

    def write(self, step: int, values: Mapping[str, float], timing: Mapping[str, float]) -> None:
        """Add one line to each file."""
        self._line("curve.jsonl", {"step": step, **values})
        self._line("timing.jsonl", {"step": step, **timing})
        if self._board is not None:
            try:
                for name, value in {**values, **timing}.items():
                    self._board.add_scalar(name, value, step)
            except OSError:
                self._board = None  # curve.jsonl holds the same numbers and reports a full disk itself

    def flush(self) -> None:
        """Bring every line to the disk."""
        for file in self._files.values():
            os.fsync(file.fileno())

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()
        if self._board is not None:
            self._board.close()

    def _line(self, name: str, content: Mapping[str, Any]) -> None:
        file, line = self._files[name], json.dumps(content).encode() + b"\n"
        try:
            if file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise XlxmertError(
                f"could not write step {content['step']} to {file.name}: {error.strerror}; checkpoints are unharmed: "
                "free some space, then run the same command again to go on"
            ) from error


def _cut(path: Path, after: int) -> None:
    lines = path.read_bytes().splitlines(keepends=True) if path.is_file() else []
    kept = [line for line in lines if _step(line) <= after]
    if len(kept) < len(lines):
        write_bytes(path, b"".join(kept))


def _step(line: bytes) -> float:
    try:
        return float(json.loads(line)["step"]) if line.endswith(b"\n") else float("inf")
    except (ValueError, KeyError, TypeError):
        return float("inf")


def _board(folder: Path, after: int) -> Any:
    if importlib.util.find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=after + 1 if after else None)


class Progress:
    """How far a run is, on standard error: a bar with the time left in a terminal, else a plain line now and then."""

    def __init__(self, name: str, start: int, steps: int, quiet: bool, line_every: float = 30.0) -> None:
        """Show nothing yet; without a terminal, a line comes every ``line_every`` seconds."""
        self._name, self._start, self._steps, self._quiet = name, start, steps, quiet
        self._begun = time.monotonic()
        self._every = line_every
        self._next = self._begun
        self._text = ""
        console = rich.console.Console(stderr=True)
        self._bar = _bar(console) if console.is_terminal and not quiet else None
        self._row = self._bar.add_task(name, total=steps, completed=start, text="") if self._bar else None

    def __enter__(self) -> "Progress":
        """Show the bar."""
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bar off the screen, leaving its last state."""
        if self._bar:
            self._bar.stop()

    def losses(self, means: Mapping[str, float]) -> None:
        """Show these means from now on."""
        self._text = "  ".join(f"{name} {value:.4g}" for name, value in means.items() if name.endswith("/loss"))

    def advance(self, step: int) -> None:
        """Say that ``step`` steps are done; costs next to nothing between two refreshes."""
        now = time.monotonic()
        if self._quiet or (now < self._next and step < self._steps):
            return
        if self._bar and self._row is not None:
            self._next = now + 0.1
            self._bar.update(self._row, completed=step, text=f"{self._text}  {self.speed(step):.1f} steps/s")
        else:
            self._next = now + self._every
            left = (self._steps - step) / max(self.speed(step), 1e-9)
            speed = f"{self.speed(step):.1f} steps/s  {left:.0f} s left"
            print(f"{self._name}: step {step}/{self._steps}  {self._text}  {speed}", file=sys.stderr, flush=True)

    def speed(self, step: int) -> float:
        """Steps per second since the run (or its resumption) began."""
        return (step - self._start) / max(time.monotonic() - self._begun, 1e-9)


def _bar(console: rich.console.Console) -> rich.progress.Progress:
    return rich.progress.Progress(
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TimeElapsedColumn(),
        rich.progress.TextColumn("left"),
        rich.progress.TimeRemainingColumn(),
        rich.progress.TextColumn("{task.fields[text]}"),
        console=console,
        refresh_per_second=4,
    )
