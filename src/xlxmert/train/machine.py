"""The machine that a run trains on: device, precision and processes, by way of accelerate."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.processes import processes
from xlxmert.core.task import Part
from xlxmert.train.config import TrainConfig


def make_accelerator(config: TrainConfig) -> Any:
    """An ``accelerate.Accelerator`` for this configuration.

    Raises:
        XlxmertError: accelerate is missing, or was launched with something other than data parallelism.
        UsageError: the device or the precision is not to be had here.
    """
    try:
        from accelerate import Accelerator, DistributedDataParallelKwargs
        from accelerate.state import AcceleratorState
    except ImportError as error:
        raise XlxmertError(
            'training needs accelerate, which is not installed: run pip install "xlxmert[train]"'
        ) from error
    if config.device == "cuda" and not torch.cuda.is_available():
        raise UsageError("expected a CUDA device, found none: pass --device cpu or --device auto")
    # without this, a second run in the same process would keep the first one's settings
    AcceleratorState._reset_state(reset_partial_state=True)
    precision = resolve_precision(config)
    if precision == "fp16" and (config.device == "cpu" or not torch.cuda.is_available()):
        raise UsageError("expected a CUDA device for precision fp16, found none: pass --precision bf16 or fp32")
    accelerator = Accelerator(
        cpu=config.device == "cpu",
        mixed_precision="no" if precision == "fp32" else precision,
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True, broadcast_buffers=False)],
    )
    if accelerator.distributed_type.value not in ("NO", "MULTI_GPU", "MULTI_CPU"):
        raise XlxmertError(
            f"expected one process or data parallelism, found {accelerator.distributed_type.value}: "
            "launch with torchrun or accelerate launch --multi_gpu"
        )
    return accelerator


def resolve_precision(config: TrainConfig) -> str:
    """The precision that ``auto`` stands for: bf16 where the hardware computes in it, else fp32."""
    if config.precision != "auto":
        return config.precision
    if config.device != "cpu" and torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    capable: bool = torch.cpu._is_avx512_bf16_supported()
    return "bf16" if capable else "fp32"


@contextlib.contextmanager
def companions() -> Iterator[None]:
    """Within it, the end of another process of the run is an error that says so.

    Raises:
        XlxmertError: another process has ended, or could not be reached.
    """
    try:
        yield
    except RuntimeError as error:
        if processes() == 1 or not (isinstance(error, torch.distributed.DistError) or "gloo" in str(error)):
            raise
        reason = str(error).splitlines()[0]
        raise XlxmertError(
            f"another process of the run has ended or cannot be reached ({reason}): "
            "run the same command again to go on from the last checkpoint"
        ) from error


def parts_of(config: TrainConfig, process: int, count: int) -> list[Part]:
    """A process's parts of every batch, one for each forward pass: those of all processes together are the batch.

    Raises:
        UsageError: there are more parts than examples.
    """
    parts = count * config.accumulate
    if parts > config.batch_size:
        raise UsageError(
            f"expected a batch of at least {parts} examples for {count} processes with {config.accumulate} forward "
            f"passes each, found batch_size {config.batch_size}: pass a larger --batch-size or start fewer processes"
        )
    first = process * config.accumulate
    return [Part(index, parts) for index in range(first, first + config.accumulate)]


def seed_draws(device: torch.device, number: int) -> None:
    """Seed torch's global generators, before each forward pass: a resumed run draws what an uninterrupted one draws.

    ``torch.manual_seed`` would do the same, a hundred times slower.
    """
    torch.default_generator.manual_seed(number)
    if device.type == "cuda":
        torch.cuda.manual_seed(number)


def added_up(accelerator: Any, scalars: dict[str, Tensor]) -> dict[str, Tensor]:
    """Scalars of every process's parts to those of the whole batch, the same in all processes."""
    if accelerator.num_processes == 1:
        return scalars
    whole = accelerator.reduce(torch.stack([value.reshape(()) for value in scalars.values()]), "sum")
    return dict(zip(scalars, whole.unbind(), strict=True))


def agreed(accelerator: Any, *wishes: int) -> tuple[int, ...]:
    """The largest of each wish over all processes."""
    if accelerator.num_processes == 1:
        return wishes
    mine = torch.tensor([wishes], device=accelerator.device)
    return tuple(accelerator.gather(mine).amax(0).tolist())
