"""Batches for the loop: those of the next step are made in a background thread while the present step computes."""

import dataclasses
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch

from xlxmert.core.task import Part, Task


class Feed:
    """One process's parts of the batches: each is cut among the processes, and within one among its forward passes."""

    def __init__(self, task: Task, size: int, steps: int, parts: Sequence[Part]) -> None:
        """Make nothing yet."""
        self._task, self._size, self._steps, self._parts = task, size, steps, parts
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._next: tuple[int, Future[list[Any]]] | None = None

    def take(self, step: int, device: torch.device) -> list[Any]:
        """The parts of ``step``, on ``device``; starts on those of the step after."""
        ahead = self._next
        future = ahead[1] if ahead and ahead[0] == step else self._pool.submit(self._make, step, device)
        batches = future.result()
        if step + 1 < self._steps:
            self._next = (step + 1, self._pool.submit(self._make, step + 1, device))
        return batches if device.type == "cpu" else [place(batch, device) for batch in batches]

    def close(self) -> None:
        """Stop making batches."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _make(self, step: int, device: torch.device) -> list[Any]:
        batches = [self._task.batch(step, self._size, part) for part in self._parts]
        return [place(batch, None) for batch in batches] if device.type == "cuda" else batches


def place(batch: Any, device: torch.device | None) -> Any:
    """The batch with every tensor in it on ``device`` (None: in pinned memory), dataclasses and containers included."""
    if isinstance(batch, torch.Tensor):
        return batch.pin_memory() if device is None else batch.to(device, non_blocking=True)
    if dataclasses.is_dataclass(batch) and not isinstance(batch, type):
        parts = {field.name: place(getattr(batch, field.name), device) for field in dataclasses.fields(batch)}
        return dataclasses.replace(batch, **parts)
    if isinstance(batch, Mapping):
        return {name: place(part, device) for name, part in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(place(part, device) for part in batch))
    if isinstance(batch, (list, tuple)):
        return type(batch)(place(part, device) for part in batch)
    return batch
