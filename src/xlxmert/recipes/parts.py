"""Work on many pictures, cut into parts that outlive an interruption: what encoding and feature files share."""

import contextlib
import hashlib
import itertools
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

import xlxmert
from xlxmert.core.arrays import map_arrays, write_arrays
from xlxmert.core.errors import XlxmertError
from xlxmert.core.files import locked
from xlxmert.core.processes import processes, rank
from xlxmert.recipes.reading import Attempt, PictureReader, Progress, no_progress

Work = Callable[
    [Iterator[tuple[Path, Attempt]], Callable[[int], None]], tuple[Mapping[str, np.ndarray], Mapping[int, str]]
]
"""Makes a part's arrays of its pictures and tells how many are done; gives also the places of those left out, and why.
"""


@dataclass(frozen=True)
class Part:
    """A finished part."""

    paths: list[Path]
    """The files that could be read, in order."""
    unreadable: dict[Path, str]
    """The others, and why."""
    file: Path
    """Where its arrays are."""

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """What was made of the readable files, where it lies."""
        return map_arrays(self.file, f"delete {self.file.parent} and run the same command again")[0]


@dataclass(frozen=True)
class Parts:
    """Pictures in parts, each of which is a file of arrays in a folder.

    1. The pictures are cut into parts in their order, whatever can be read of them.
    2. A part's name is made of all that decides its content: the key, and the name, length and time of change of every
       file. A part of that name that lies in the folder is whole and right.
    3. The other parts are made one by one, each written atomically as its last picture is done.
    """

    groups: list[Sequence[Path]]
    """The pictures of each part."""
    files: list[Path]
    """Where each part is, or will be."""

    @classmethod
    def of(cls, folder: Path, paths: Sequence[Path], size: int, key: object) -> "Parts":
        """Cut pictures into parts.

        Args:
            folder: for the parts.
            paths: the pictures, each once.
            size: pictures of a part: as much as an interruption can cost.
            key: whatever else decides what is made of them.
        """
        groups = [paths[start : start + size] for start in range(0, len(paths), size)]
        names = [f"{number:06d}-{_name(group, key)}.safetensors" for number, group in enumerate(groups)]
        return cls(groups, [folder / name for name in names])

    def complete(self, reader: PictureReader, work: Work, progress: Progress = no_progress) -> None:
        """Make the parts that are not there; processes that were launched together take turns.

        Args:
            reader: of the pictures.
            work: is given the pictures of a part.
            progress: is told how many pictures are done.

        Raises:
            XlxmertError: the disk is full, or the work fails.
        """
        mine = list(zip(self.groups, self.files, strict=True))[rank() :: processes()]
        missing = [(group, file) for group, file in mine if not file.exists()]
        total = sum(len(group) for group, _ in mine)
        done = total - sum(len(group) for group, _ in missing)
        progress(done, total)
        attempts = reader.attempts(path for group, _ in missing for path in group)
        with contextlib.closing(attempts):
            for group, file in missing:
                arrays, unreadable = work(
                    itertools.islice(attempts, len(group)), partial(_ahead, progress, done, total)
                )
                write_arrays(file, arrays, {"unreadable": json.dumps(unreadable)})
                done += len(group)

    def finished(self) -> Iterator[Part]:
        """The parts in order, once all are made.

        Raises:
            XlxmertError: one is damaged.
        """
        for group, file in zip(self.groups, self.files, strict=True):
            _, told = map_arrays(file, f"delete {file.parent} and run the same command again")
            reasons = {int(place): reason for place, reason in json.loads(told["unreadable"]).items()}
            paths = [path for place, path in enumerate(group) if place not in reasons]
            yield Part(paths, {group[place]: reason for place, reason in reasons.items()}, file)


def parts_folder(out: Path) -> Path:
    """Where the parts of a store or a file are kept until it is finished: a hidden folder beside it."""
    return out.with_name(f".{out.name}.encoded")


def sweep(out: Path) -> None:
    """Delete the parts of a finished store or file, which a kill right after its last step leaves.

    Parts that are newer than what they stand beside are of an interrupted run that is to replace it, and stay, as do
    those that a process is using.
    """
    folder, made = parts_folder(out), out / "store.json" if out.is_dir() else out
    with contextlib.suppress(OSError, XlxmertError):
        finished = made.stat().st_mtime_ns
        if folder.is_dir() and all(file.stat().st_mtime_ns <= finished for file in folder.iterdir()):
            with locked(folder):
                shutil.rmtree(folder)


def key_of(file: Path, device: object) -> str:
    """What stands for a file's content (a visual vocabulary, a detector) and a device."""
    digest = hashlib.blake2b(digest_size=8)
    with file.open("rb") as stream:
        while some := stream.read(2**20):
            digest.update(some)
    return f"{digest.hexdigest()} {device}"


def _name(group: Sequence[Path], key: object) -> str:
    """What decides the content of a part, in short."""
    stats = [(path.as_posix(), *_state(path)) for path in group]
    return hashlib.blake2b(repr((xlxmert.__version__, key, stats)).encode(), digest_size=8).hexdigest()


def _state(path: Path) -> tuple[int, int]:
    """A file's length and time of change."""
    try:
        state = path.stat()
    except OSError:
        return -1, 0
    return state.st_size, state.st_mtime_ns


def _ahead(progress: Progress, done: int, total: int, more: int) -> None:
    progress(done + more, total)
