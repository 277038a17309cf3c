"""The machine that a run trains on: device, precision and processes, by way of accelerate."""

from typing import Any

import torch

from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.seeds import seed_of
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
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
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


def seed_step(device: torch.device, seed: int, step: int, process: int) -> None:
    """Seed torch's global generators for one step, so that a resumed run draws what an uninterrupted one draws.

    ``torch.manual_seed`` would do the same, a hundred times slower.
    """
    number = seed_of(seed, "step", step, process)
    torch.default_generator.manual_seed(number)
    if device.type == "cuda":
        torch.cuda.manual_seed(number)
