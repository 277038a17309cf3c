"""Many picture files, unreadable ones counted instead of fatal: the first step towards the codebook and the store."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from xlxmert.core.axes import UInt8
from xlxmert.core.errors import XlxmertError
from xlxmert.core.images import load_picture

TOGETHER = 64
"""Pictures that are read ahead."""

Progress = Callable[[int, int], None]
"""Called with what is done and what there is to do, in pictures."""


def no_progress(done: int, total: int) -> None:
    """Tell nobody."""


@dataclass
class PictureReader:
    """Reads picture files as squares and keeps a list of those that could not be read."""

    size: int = 256
    """Side in pixels to which pictures are brought."""
    crop: bool = False
    """Keep the centre square; by default the whole picture is squashed."""
    workers: int = 2
    """Threads that decode."""
    unreadable: dict[Path, str] = field(default_factory=dict)
    """Files that could not be read so far, and why."""

    def read(
        self, paths: Iterable[Path], total: int, progress: Progress = no_progress
    ) -> Iterator[tuple[Path, UInt8[np.ndarray, "S S 3"]]]:
        """The pictures that can be read, in order, each with its file.

        Raises:
            XlxmertError: none of them can be read.
        """
        stream, done, readable = iter(paths), 0, 0
        with ThreadPoolExecutor(self.workers) as pool:
            while group := list(itertools.islice(stream, TOGETHER)):
                for path, picture in zip(group, pool.map(self._attempt, group), strict=True):
                    if isinstance(picture, XlxmertError):
                        self.unreadable[path] = str(picture)
                    else:
                        readable += 1
                        yield path, picture
                    done += 1
                    progress(done, total)
        if done and not readable:
            first = next(iter(self.unreadable.values()))
            raise XlxmertError(f"expected pictures that can be read, found none among {done}; the first: {first}")

    def _attempt(self, path: Path) -> "UInt8[np.ndarray, 'S S 3'] | XlxmertError":
        try:
            return load_picture(path, self.size, self.crop)
        except XlxmertError as error:
            return error
