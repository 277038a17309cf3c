"""Pickles of plain values and arrays, read without running anything in them.

A pickle is a small program that may call whatever it names. Here every name gives a maker of our own or an error, and
arrays are put together from their bytes afterwards, so numpy's own machinery never sees what the file says of them.
"""

import io
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from xlxmert.core.errors import XlxmertError

_KIND = re.compile(r"[<>=|]?[biuf](1|2|4|8)|bool")
"""Plain numbers, as numpy spells them."""


def read_plain_pickle(path: Path) -> Any:
    """What a pickle holds: numbers, text, bytes, tuples, lists, sets, dictionaries, and numpy arrays of plain numbers.

    Ordered dictionaries become plain ones. Pickles of Python 2 are read too; their text becomes strings.

    Raises:
        XlxmertError: the file is missing, no pickle or cut short, or holds anything else; nothing of it is run.
    """
    try:
        content = _Reader(io.BytesIO(Path(path).read_bytes()), encoding="latin1").load()
        return _settled(content)
    except OSError as error:
        reason = "nothing" if isinstance(error, FileNotFoundError) else error.strerror or str(error)
        raise XlxmertError(f"expected a pickle at {path}, found {reason}: check the path") from error
    except _RefusedError as error:
        raise XlxmertError(
            f"expected plain values and arrays in {path}, found a pickle that asks for {error}: nothing of it was run; "
            "ask for the numbers in another format"
        ) from error
    except Exception as error:  # a damaged pickle raises many types
        raise XlxmertError(
            f"expected a pickle of plain values at {path}, found one that cannot be read to its end "
            f"({type(error).__name__}): it was cut short or is something else; download it again"
        ) from error


class _RefusedError(Exception):
    """A pickle asks for something that is not plain."""


class _Maker:
    """What a pickle gets for a name: it can be called and nothing else."""

    __slots__ = ("make", "name")

    def __init__(self, name: str, make: Callable[..., Any]) -> None:
        self.name, self.make = name, make

    def __call__(self, *arguments: Any) -> Any:
        return self.make(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise _RefusedError(f"a change of {self.name}")


class _Kind:
    """A type of numbers, before its byte order is told."""

    def __init__(self, name: Any = None, *_: Any) -> None:
        if not isinstance(name, str) or not _KIND.fullmatch(name):
            raise _RefusedError(f"an array of the type {str(name)[:40]!r}")
        self.dtype = np.dtype(name)

    def __setstate__(self, state: Any) -> None:
        order = state[1]
        if order not in ("<", ">", "=", "|") or any(state[2:5]):
            raise _RefusedError("an array of a type with parts")
        if order in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(order)


class _Array:
    """An array, before its numbers are told."""

    content: np.ndarray | None = None

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, by_column, numbers = state
        self.content = _filled(numbers, kind, shape, "F" if by_column else "C")


class _Reader(pickle.Unpickler):
    """Knows how arrays are put together, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """One of our makers instead of what the pickle names."""
        wanted = f"{module.replace('numpy._core', 'numpy.core')}.{name}"
        if wanted not in _MAKERS:
            raise _RefusedError(f"{module[:40]}.{name[:40]}")
        return _Maker(wanted, _MAKERS[wanted])


def _filled(numbers: Any, kind: Any, shape: Any, order: Any) -> np.ndarray:
    """An array of its own from bytes."""
    if not isinstance(kind, _Kind) or order not in ("C", "F"):
        raise _RefusedError("an array of another type")
    whole = np.frombuffer(_bytes(numbers), kind.dtype).reshape(shape, order=order)
    return whole.astype(kind.dtype.newbyteorder("="))


def _bytes(text: Any, encoding: str = "latin1") -> Any:
    """Bytes, which old pickles write as text."""
    if isinstance(text, str) and encoding == "latin1":
        return text.encode("latin1")
    if not isinstance(text, bytes | bytearray | pickle.PickleBuffer):
        raise _RefusedError("an array of other things than numbers")
    return text


def _empty(*_: Any) -> _Array:
    return _Array()


def _number(kind: Any, content: Any) -> Any:
    return _filled(content, kind, (), "C")[()]


def _nothing(*_: Any) -> Any:
    raise _RefusedError("an empty array")


_MAKERS: dict[str, Callable[..., Any]] = {
    "numpy.ndarray": _nothing,  # only ever named as what `_reconstruct` makes
    "numpy.dtype": _Kind,
    "numpy.core.multiarray._reconstruct": _empty,
    "numpy.core.multiarray.scalar": _number,
    "numpy.core.numeric._frombuffer": _filled,
    "collections.OrderedDict": dict,
    "builtins.set": set,
    "__builtin__.set": set,
    "_codecs.encode": _bytes,
    "builtins.bytes": lambda: b"",  # how old protocols write none
    "__builtin__.bytes": lambda: b"",
}
"""What a pickle of plain values names, and what it gets."""


def _settled(value: Any) -> Any:
    """The same with arrays in the place of what stood for them."""
    match value:
        case _Array():
            if value.content is None:
                raise _RefusedError("an array without numbers")
            return value.content
        case dict():
            return {_settled(key): _settled(member) for key, member in value.items()}
        case list():
            return [_settled(member) for member in value]
        case tuple():
            return tuple(_settled(member) for member in value)
        case set() | frozenset():
            return type(value)(_settled(member) for member in value)
        case _Maker() | _Kind():
            raise _RefusedError("a name where a value should be")
    return value
