"""Pickles of plain arrays, read without running anything in them: detectron2's ``.pkl`` files of weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xlxmert.convert.table import State, some
from xlxmert.core.errors import XlxmertError
from xlxmert.core.pickled import read_plain_pickle

TORCH_MAGIC = (0x1950A86A20F9469CFC6C).to_bytes(10, "little")
"""What the old files of ``torch.save`` begin with, which are pickles too."""


def holds_pickle(path: Path) -> bool:
    """Whether a file is a bare pickle, as its first bytes tell; files of ``torch.save`` are none."""
    try:
        with Path(path).open("rb") as stream:
            head = stream.read(32)
    except OSError:
        return False
    return head.startswith(b"\x80") and TORCH_MAGIC not in head


def read_pickle(path: Path) -> State:
    """The arrays of a pickle as tensors, by the names that it gives them, unwrapped from under ``model``.

    Raises:
        XlxmertError: the file is no pickle, is cut short, asks for anything but plain values, or holds something else
            than named arrays.
    """
    content = read_plain_pickle(path)
    if isinstance(content, Mapping) and isinstance(content.get("model"), Mapping):
        content = content["model"]
    return _tensors(content, path)


def _tensors(content: Any, path: Path) -> State:
    """Named arrays as tensors of their own."""
    if not isinstance(content, Mapping) or not content:
        found = "none" if isinstance(content, Mapping) else f"a {type(content).__name__}"
        raise XlxmertError(f"expected arrays by name in {path}, found {found}: is this a file of weights?")
    others = [str(name) for name, value in content.items() if not isinstance(value, np.ndarray)]
    if others:
        raise XlxmertError(
            f"expected arrays by name in {path}, found other things ({some(others, 5)}): is this a file of weights?"
        )
    natives = {str(name): value.astype(value.dtype.newbyteorder("=")) for name, value in content.items()}
    return {name: torch.from_numpy(np.ascontiguousarray(value).reshape(value.shape)) for name, value in natives.items()}
