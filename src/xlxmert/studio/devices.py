"""The machine's devices by name."""

import os

import torch

from xlxmert.core.errors import UsageError


def pick_device(name: str) -> torch.device:
    """The device of a name: ``auto`` takes an accelerator if there is one.

    Raises:
        UsageError: the name is unknown, or the machine has no such device.
    """
    if name == "auto":
        return pick_device("cuda") if torch.cuda.is_available() else torch.device("cpu")
    if name not in ("cpu", "cuda"):
        raise UsageError(f"expected a device of auto, cpu, cuda, found '{name}': choose one of them")
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("expected a CUDA device, found none on this machine: use --device cpu or auto")
    if name == "cuda" and "LOCAL_RANK" in os.environ:  # of the processes of one machine, each has its own
        return torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    return torch.device(name)
