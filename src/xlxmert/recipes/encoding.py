"""Pictures to codes and features, in parts that outlive an interruption: the second half of ``xlxmert prepare``."""

import contextlib
import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xlxmert.core.arrays import Pieces
from xlxmert.core.axes import UInt8
from xlxmert.core.errors import XlxmertError
from xlxmert.core.files import locked
from xlxmert.core.processes import is_main, meet
from xlxmert.recipes.parts import Part, Parts
from xlxmert.recipes.reading import Attempt, PictureReader, Progress, no_progress
from xlxmert.vision.vocabulary import VisualVocabulary

BATCH = 32
"""Pictures that are encoded at a time."""
PART = 128
"""Pictures of a part: as much as an interruption can cost."""
MARKS = "marks"
"""A number for the pixels of each picture of a part: the same for the same pixels."""


@dataclass(frozen=True)
class Encoded:
    """What the store keeps of many pictures."""

    paths: list[Path]
    """The files that could be read."""
    codes: np.ndarray
    """(P, N) uint16."""
    features: Pieces | None
    """(P, N, F) float16 where they are wanted; they stay on the disk."""
    unreadable: dict[Path, str]
    """The other files, and why."""
    same: list[list[Path]]
    """Files that show the very same pixels, two or more each."""

    @property
    def arrays(self) -> dict[str, np.ndarray | Pieces]:
        """Both, as the store takes them."""
        return {"codes": self.codes} | ({} if self.features is None else {"features": self.features})


@dataclass(frozen=True)
class Encoder:
    """Turns picture files into codes and features."""

    reader: PictureReader
    vocabulary: VisualVocabulary
    features: bool
    """Keep features beside codes."""
    key: str
    """Stands for the visual vocabulary and the device: parts of another key are not taken."""

    @contextlib.contextmanager
    def encoded(self, folder: Path, paths: Sequence[Path], progress: Progress = no_progress) -> Iterator[Encoded]:
        """What is in the pictures, to be used within the block; goes on from the `Parts` that are in ``folder``.

        The folder is deleted when the block ends without an error. After an error or a kill it stays, and the same
        call goes on; as parts never share a batch, the numbers are those of a run that was not interrupted. Processes
        that were launched together share the parts, and all of them see the result.

        Args:
            folder: for the parts; another process that uses it is an error.
            paths: the files, each once.
            progress: is told how many pictures are done.

        Raises:
            XlxmertError: no picture can be read, the disk is full, or the folder is in use.
        """
        parts = Parts.of(folder, paths, PART, (self.key, self.reader.size, self.reader.crop, self.features))
        with locked(folder) if is_main() else contextlib.nullcontext():
            parts.complete(self.reader, self._part, progress)
            meet("pictures are encoded")
            found = self._gathered(list(parts.finished()))
            if not found.paths:
                shutil.rmtree(folder, ignore_errors=True)
                first = next(iter(found.unreadable.values()), "there is none")
                raise XlxmertError(
                    f"expected pictures that can be read, found none among {len(paths)}; the first: {first}"
                )
            yield found
            meet("pictures are stored")
            if is_main():
                shutil.rmtree(folder, ignore_errors=True)

    def _part(
        self, attempts: Iterator[tuple[Path, Attempt]], tell: Callable[[int], None]
    ) -> tuple[dict[str, np.ndarray], dict[int, str]]:
        """The arrays of the pictures that can be read, and the places of the others with the reason."""
        unreadable: dict[int, str] = {}
        marks: list[int] = []

        def pictures() -> Iterator[np.ndarray]:
            for place, (_, picture) in enumerate(attempts):
                if isinstance(picture, XlxmertError):
                    unreadable[place] = str(picture)
                else:
                    marks.append(_mark(picture))
                    yield picture
                tell(place + 1)

        arrays = encoded(self.vocabulary, pictures(), self.features)
        return arrays | {MARKS: np.array(marks, np.int64)}, unreadable

    def _gathered(self, parts: Sequence[Part]) -> Encoded:
        """All parts as one."""
        paths = [path for part in parts for path in part.paths]
        unreadable = {path: reason for part in parts for path, reason in part.unreadable.items()}
        codes, marks = [np.zeros((0, self.vocabulary.spec.cells), np.uint16)], []
        for arrays in (part.arrays for part in parts):
            codes.append(np.array(arrays["codes"]))
            marks += arrays[MARKS].tolist()
        features = None
        if self.features:
            shape = len(paths), self.vocabulary.spec.cells, self.vocabulary.width
            features = Pieces(np.dtype(np.float16), shape, lambda: (part.arrays["features"] for part in parts))
        return Encoded(paths, np.concatenate(codes), features, unreadable, _same(paths, marks))


def encoded(
    vocabulary: VisualVocabulary, pictures: Iterable[UInt8[np.ndarray, "S S 3"]], keep_features: bool
) -> dict[str, np.ndarray]:
    """The store's arrays ``codes`` (P, N) and, if wanted, ``features`` (P, N, F) of pictures of one size, in memory."""
    cells = vocabulary.spec.cells
    codes = [np.zeros((0, cells), np.uint16)]
    features = [np.zeros((0, cells, vocabulary.width), np.float16)]
    for rows, batch in vocabulary.extract(pictures, BATCH):
        codes.append(batch.cpu().numpy().astype(np.uint16))
        if keep_features:
            features.append(rows.half().cpu().numpy())
    visual = {"codes": np.concatenate(codes)}
    return visual | ({"features": np.concatenate(features)} if keep_features else {})


def _mark(picture: np.ndarray) -> int:
    digest = hashlib.blake2b(picture.tobytes(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def _same(paths: Sequence[Path], marks: Sequence[int]) -> list[list[Path]]:
    """The paths of equal marks, where there are several."""
    groups: dict[int, list[Path]] = {}
    for path, mark in zip(paths, marks, strict=True):
        groups.setdefault(mark, []).append(path)
    return [group for group in groups.values() if len(group) > 1]
