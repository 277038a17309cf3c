"""Many picture files, unreadable ones counted instead of fatal: the first step towards the codebook and the store."""

import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from xlxmert.core.axes import UInt8
from xlxmert.core.errors import XlxmertError
from xlxmert.core.images import load_picture, load_whole

TOGETHER = 64
"""Pictures that are decoded ahead, unless said otherwise."""

Attempt = np.ndarray | XlxmertError
"""A picture's pixels, uint8 (S, S, 3), or why there are none."""
Progress = Callable[[int, int], None]
"""Called with what is done and what there is to do, in pictures."""


def no_progress(done: int, total: int) -> None:
    """Tell nobody."""


@dataclass
class PictureReader:
    """Reads picture files, as squares unless told otherwise, and keeps a list of those that could not be read."""

    size: int = 256
    """Side in pixels to which pictures are brought; 0 leaves each as large as it is."""
    crop: bool = False
    """Keep the centre square; by default the whole picture is squashed."""
    workers: int = 2
    """Threads that decode."""
    unreadable: dict[Path, str] = field(default_factory=dict)
    """Files that could not be read so far, and why."""
    ahead: int = TOGETHER
    """Pictures that are decoded ahead."""

    def read(
        self, paths: Iterable[Path], total: int, progress: Progress = no_progress
    ) -> Iterator[tuple[Path, UInt8[np.ndarray, "S S 3"]]]:
        """The pictures that can be read, in order, each with its file.

        Raises:
            XlxmertError: none of them can be read.
        """
        done = readable = 0
        for path, picture in self.attempts(paths):
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

    def attempts(self, paths: Iterable[Path]) -> "Generator[tuple[Path, Attempt], None, None]":
        """Each file in order with its picture, or with why it cannot be read; some are decoded ahead."""
        stream = iter(paths)
        with ThreadPoolExecutor(self.workers) as pool:
            ahead = deque((path, pool.submit(self._attempt, path)) for path in itertools.islice(stream, self.ahead))
            try:
                while ahead:
                    path, picture = ahead.popleft()
                    ahead.extend((each, pool.submit(self._attempt, each)) for each in itertools.islice(stream, 1))
                    yield path, picture.result()
            finally:
                pool.shutdown(cancel_futures=True)

    def _attempt(self, path: Path) -> "Attempt":
        try:
            return load_picture(path, self.size, self.crop) if self.size else load_whole(path)
        except XlxmertError as error:
            return error
