"""Pickles of plain arrays, read without running anything in them: detectron2's ``.pkl`` files of weights."""

import io
import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xlxmert.convert.table import State, some
from xlxmert.core.errors import XlxmertError

TORCH_MAGIC = (0x1950A86A20F9469CFC6C).to_bytes(10, "little")
"""What the old files of ``torch.save`` begin with, which are pickles too."""
NUMBERS = "biuf"
"""Kinds of numpy's types that hold plain numbers."""


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

    Nothing but arrays, numbers, text and plain containers is admitted; what would call anything else is refused before
    it is called.

    Raises:
        XlxmertError: the file is no pickle, is cut short, would run code, or holds something else than named arrays.
    """
    try:
        content = _PlainUnpickler(io.BytesIO(Path(path).read_bytes()), encoding="latin1").load()
    except _CodeError as error:
        raise XlxmertError(
            f"expected plain arrays in {path}, found a pickle that would run code ({error}): nothing of it was run; "
            "ask for the bare weights, or for safetensors"
        ) from error
    except Exception as error:  # a damaged pickle raises many types
        raise XlxmertError(
            f"expected a pickle of arrays at {path}, found one that cannot be read to its end: it is cut short or "
            "something else; download it again"
        ) from error
    if isinstance(content, Mapping) and isinstance(content.get("model"), Mapping):
        content = content["model"]
    return _tensors(content, path)


class _CodeError(Exception):
    """A pickle asks for something that is not admitted."""


class _PlainUnpickler(pickle.Unpickler):
    """Knows how arrays are put together, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """One of the admitted functions instead of what the pickle names."""
        admitted = ADMITTED.get((module.replace("numpy._core", "numpy.core"), name))
        if admitted is None:
            raise _CodeError(f"{module}.{name}")
        return admitted


def _empty(kind: object, shape: tuple[int, ...], code: object) -> np.ndarray:
    """The array that a pickle fills afterwards; its own class and type do not matter."""
    if kind is not np.ndarray:
        raise _CodeError(f"an array of {kind}")
    return np.empty((0,), dtype=np.int8)


def _dtype(name: str, align: bool = False, copy: bool = True) -> np.dtype[Any]:
    """A type of plain numbers."""
    kind = np.dtype(str(name), False, True)
    if kind.kind not in NUMBERS:
        raise _CodeError(f"an array of the type {name}")
    return kind


def _number(kind: np.dtype[Any], content: bytes | str) -> Any:
    """A number of its own, with its type."""
    return np.frombuffer(_bytes(content), dtype=kind)[0]


def _from_buffer(content: Any, kind: np.dtype[Any], shape: tuple[int, ...], order: Any) -> np.ndarray:
    """An array whose numbers come first."""
    return np.frombuffer(content, dtype=kind).reshape(shape, order=order)


def _bytes(text: bytes | str, encoding: str = "latin1") -> bytes:
    """Bytes that an old pickle writes as text."""
    if encoding != "latin1":
        raise _CodeError(f"text in {encoding}")
    return text if isinstance(text, bytes) else text.encode("latin1")


ADMITTED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): _dtype,
    ("numpy.core.multiarray", "_reconstruct"): _empty,
    ("numpy.core.multiarray", "scalar"): _number,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("collections", "OrderedDict"): OrderedDict,
    ("_codecs", "encode"): _bytes,
}
"""What a pickle of arrays names, and what it gets."""


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
