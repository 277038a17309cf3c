"""Arrays that outgrow memory: written as safetensors piece by piece, gathered row by row before their number is known.

`xlxmert.core.files` writes tensors that are in memory; here an array may lie in a file of its own (`numpy.memmap`).
"""

import contextlib
import json
import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np

from xlxmert.core.errors import XlxmertError
from xlxmert.core.files import atomic_path

DTYPES = {
    "U8": np.uint8, "U16": np.uint16, "U32": np.uint32, "I64": np.int64, "F16": np.float16, "F32": np.float32,
}  # fmt: skip
"""The types that are written, by safetensors' names."""
PIECE = 2**23
"""Numbers that are copied at a time."""
LARGE = 2**26
"""Bytes of a file whose rows are read instead of mapped."""


@dataclass(frozen=True)
class Pieces:
    """An array whose rows come in pieces that are read one at a time, so that it is never in memory as a whole."""

    dtype: np.dtype
    shape: tuple[int, ...]
    """Of all pieces together."""
    read: Callable[[], Iterator[np.ndarray]]
    """The pieces in order; may be asked for again."""

    @property
    def size(self) -> int:
        """How many numbers there are."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """How many bytes they take."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        """How many rows there are."""
        return self.shape[0]

    def __iter__(self) -> Iterator[np.ndarray]:
        """The pieces.

        Raises:
            XlxmertError: they are not of the type and shape that was told.
        """
        rows = 0
        for piece in self.read():
            rows += len(piece)
            if piece.dtype != self.dtype or piece.shape[1:] != self.shape[1:] or rows > len(self):
                raise XlxmertError(
                    f"expected pieces of {self.dtype} {self.shape}, found {piece.dtype} {piece.shape} after "
                    f"{rows - len(piece)} rows: write them again"
                )
            yield piece
        if rows < len(self):
            raise XlxmertError(f"expected pieces of {len(self)} rows, found {rows}: write them again")


def pieces(array: "np.ndarray | Pieces") -> Iterator[np.ndarray]:
    """An array a piece at a time, each of `PIECE` numbers at most where the array is in one."""
    if isinstance(array, Pieces):
        yield from array
    elif not array.ndim or array.size <= PIECE:
        yield array
    else:
        rows = max(PIECE * len(array) // array.size, 1)
        yield from (array[start : start + rows] for start in range(0, len(array), rows))


def write_arrays(
    target: Path, arrays: Mapping[str, np.ndarray | Pieces], metadata: Mapping[str, str] | None = None
) -> None:
    """Write a safetensors file atomically, a piece of an array at a time.

    Raises:
        XlxmertError: an array is of a type that is not among `DTYPES`, or the file cannot be written.
    """
    names = {np.dtype(dtype): name for name, dtype in DTYPES.items()}
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    ordered = sorted(arrays.items(), key=lambda item: -item[1].dtype.itemsize)  # so that every array is aligned
    start = 0
    for name, array in ordered:
        if array.dtype not in names:
            raise XlxmertError(f"expected {name} as one of {', '.join(DTYPES)}, found {array.dtype}: change its type")
        offsets = [start, start := start + array.nbytes]
        header[name] = {"dtype": names[array.dtype], "shape": list(array.shape), "data_offsets": offsets}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with atomic_path(target) as part, part.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for _, array in ordered:
            for piece in pieces(array):
                stream.write(np.ascontiguousarray(piece).tobytes())


def map_arrays(source: Path, move: str = "write it again") -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays of a safetensors file where they lie (memory-mapped, read-only), and its metadata.

    Args:
        source: the file.
        move: what an error advises.

    Raises:
        XlxmertError: the file is missing, cut short or no safetensors file.
    """
    try:
        with Path(source).open("rb") as file:
            whole: np.ndarray = np.memmap(file, np.uint8, "r").view(np.ndarray)  # slices of a memmap are slow to make
            again = _Descriptor(os.dup(file.fileno()), str(source))
        length = 8 + int.from_bytes(whole[:8].tobytes(), "little")
        header = json.loads(whole[8:length].tobytes()) if length <= len(whole) else {}
        metadata = header.pop("__metadata__", {})
        places = {name: (DTYPES[e["dtype"]], e["shape"], *e["data_offsets"]) for name, e in header.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise XlxmertError(f"could not read {source} ({error}): no safetensors file, or cut short; {move}") from error
    if not places or (needed := length + max(place[3] for place in places.values())) > len(whole):
        needed = needed if places else length
        raise XlxmertError(f"expected {needed} bytes in {source}, found {len(whole)}: cut short; {move}")
    arrays: dict[str, Any] = {
        name: whole[length + start : length + end].view(dtype).reshape(shape)
        for name, (dtype, shape, start, end) in places.items()
    }
    if len(whole) > LARGE and hasattr(os, "pread"):
        for name, (*_, start, _) in places.items():
            arrays[name] = arrays[name].view(OnDisk)
            arrays[name].file, arrays[name].start = again, length + start
    return arrays, metadata


class _Descriptor:
    """A file that is open as long as somebody holds this."""

    def __init__(self, number: int, name: str) -> None:
        self.number, self.name = number, name

    def __del__(self, close: Callable[[int], None] = os.close) -> None:  # modules may be gone when a program ends
        close(self.number)


class OnDisk(np.ndarray):
    """An array of a large file, mapped like others, of which a list of rows is read instead.

    Rows taken at random would in time leave the whole file mapped, and counted as this process's memory. Reading
    64 of them takes about 50 microseconds, mapping their pages and giving them back 350.
    """

    file: _Descriptor | None = None
    start: int = 0
    """Of the array in the file."""

    def __getitem__(self, key: Any) -> Any:
        """The rows of an array of places, read; anything else as numpy does it, without a copy."""
        if isinstance(key, np.ndarray) and key.dtype.kind in "iu" and key.size and self.file is not None:
            flat = key.reshape(-1)
            if 0 <= flat.min() <= flat.max() < len(self):
                return self._read(flat).reshape(*key.shape, *self.shape[1:])
        return self.view(np.ndarray)[key]

    def _read(self, places: np.ndarray) -> np.ndarray:
        assert self.file is not None
        breaks = np.flatnonzero(places[1:] - places[:-1] != 1) + 1  # rows that follow each other are read at once
        edges = [0, *breaks.tolist(), len(places)]
        width, number, pread = self.nbytes // len(self), self.file.number, os.pread
        starts = (places[edges[:-1]] * width + self.start).tolist()
        spans = zip(edges, edges[1:], starts, strict=False)
        content = bytearray().join([pread(number, (end - first) * width, start) for first, end, start in spans])
        if len(content) != len(places) * width:
            raise XlxmertError(f"expected {len(self)} rows in {self.file.name}, found fewer: cut short meanwhile")
        return np.frombuffer(content, self.dtype)


class Rows:
    """Arrays that grow by rows, each in a file of a folder that is deleted in the end.

        with Rows(folder) as rows:
            for ...:
                rows.add(codes=..., boxes=...)
            arrays = rows.arrays()  # to be used within the block

    Args:
        folder: for the files; must not exist, unless an interrupted run left it.
    """

    def __init__(self, folder: Path) -> None:
        """Remember the folder; see the class."""
        self.folder = Path(folder)
        self.count = 0
        self._files: dict[str, IO[bytes]] = {}
        self._shapes: dict[str, tuple[np.dtype, tuple[int, ...]]] = {}

    def __enter__(self) -> "Rows":
        """Make the folder anew.

        Raises:
            XlxmertError: it cannot be made.
        """
        shutil.rmtree(self.folder, ignore_errors=True)
        try:
            self.folder.mkdir(parents=True)
        except OSError as error:
            raise XlxmertError(f"could not write to {self.folder}: {error.strerror}: choose another folder") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Delete the folder."""
        for file in self._files.values():
            with contextlib.suppress(OSError):  # what a full disk did not take is not wanted any more
                file.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def add(self, **row: np.ndarray) -> None:
        """Put one row under each name.

        Raises:
            XlxmertError: the row has other names, types or sizes than those before, or the disk is full.
        """
        shapes = {name: (array.dtype, array.shape) for name, array in row.items()}
        if not self.count:
            self._shapes = shapes
        if shapes != self._shapes:
            raise XlxmertError(
                f"expected rows of {_listed(self._shapes)}, found {_listed(shapes)} after {self.count} of them: "
                "take files that were made alike"
            )
        with self._writing():
            for name, array in row.items():
                if name not in self._files:
                    self._files[name] = (self.folder / name).open("wb")
                self._files[name].write(np.ascontiguousarray(array).tobytes())
        self.count += 1

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """A full disk becomes one line."""
        try:
            yield
        except OSError as error:
            raise XlxmertError(
                f"could not write to {self.folder}: {error.strerror}: free some space or choose another folder"
            ) from error

    def arrays(self) -> dict[str, np.ndarray]:
        """All rows so far, one array of each name, where they lie.

        Raises:
            XlxmertError: the disk is full.
        """
        with self._writing():
            for file in self._files.values():
                file.flush()
        return {
            name: np.memmap(self.folder / name, dtype, "r", shape=(self.count, *shape))
            for name, (dtype, shape) in self._shapes.items()
        }


def _listed(shapes: Mapping[str, tuple[np.dtype, tuple[int, ...]]]) -> str:
    return ", ".join(f"{name} {dtype} {shape}" for name, (dtype, shape) in shapes.items()) or "nothing"
