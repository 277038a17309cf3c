"""Folders of pictures: which files are pictures, and which file a picture's id means; the road's first stop.

Nothing is opened here; a picture's pixels are read where they are needed.
"""

import copy
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Protocol, runtime_checkable

from xlxmert.core.errors import XlxmertError
from xlxmert.data.records import Id

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
"""The suffixes of pictures, in any case of letters."""

_LAST_NUMBER = re.compile(r"[0-9]+$")


@runtime_checkable
class Named(Protocol):
    """A picture as annotations name it, such as a `PictureRecord`."""

    @property
    def id(self) -> Id:
        """What other annotations call it."""

    @property
    def file_name(self) -> str:
        """Its file, with forward slashes."""


def list_files(folder: Path, nested: bool = False) -> list[Path]:
    """All files of a folder that are not hidden, sorted; with ``nested`` also those of the folders within.

    Raises:
        XlxmertError: the folder is missing, is a file or cannot be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        raise XlxmertError(f"expected a folder at {folder}, found {found}: check the path")
    try:
        return sorted(_files(folder, nested))
    except OSError as error:
        raise XlxmertError(f"could not read the folder {folder}: {error}") from error


def list_pictures(folder: Path, nested: bool = False) -> list[Path]:
    """The pictures of a folder, known by their suffixes, sorted; with ``nested`` also those of the folders within.

    Raises:
        XlxmertError: the folder is missing or unreadable, or holds no picture.
    """
    files = list_files(folder, nested)
    pictures = [file for file in files if file.suffix.lower() in SUFFIXES]
    if not pictures:
        move = "check the path" if nested else "check the path; pictures in folders within it are not counted"
        raise XlxmertError(f"expected pictures (png, jpg, webp, …) in {folder}, found {len(files)} other files: {move}")
    return pictures


class PictureFolder:
    """The pictures under a folder, found by id.

    An id means, in this order: the file name that its record gives; the file, or the file without its suffix,
    of that name; for a number also the file whose name ends in it, as 391895 does in ``COCO_val2014_000000391895.jpg``.
    Folders within are searched too, so ``VG_100K`` and ``VG_100K_2`` may stand side by side.
    """

    def __init__(self, folder: Path, pictures: Iterable[Named] = ()) -> None:
        """List the folder once.

        Raises:
            XlxmertError: the folder is missing or unreadable, or holds no picture.
        """
        self.folder = Path(folder)
        self.files = list_pictures(self.folder, nested=True)
        self._file_names = {picture.id: picture.file_name for picture in pictures}
        self._meanings: list[dict[str, list[Path]]] = [{}, {}, {}, {}]
        for file in self.files:
            number = _LAST_NUMBER.search(file.stem)
            keys = (
                file.relative_to(self.folder).as_posix(),
                file.name,
                file.stem,
                number and (number[0].lstrip("0") or "0"),
            )
            for meaning, key in zip(self._meanings, keys, strict=True):
                if key:
                    meaning.setdefault(key, []).append(file)

    def knowing(self, pictures: Iterable[Named]) -> "PictureFolder":
        """The same folder, not listed again, with the file names of other records."""
        folder = copy.copy(self)
        folder._file_names = {picture.id: picture.file_name for picture in pictures}
        return folder

    def __len__(self) -> int:
        """How many pictures the folder holds."""
        return len(self.files)

    def __contains__(self, picture_id: Id) -> bool:
        """Whether exactly one file is meant by the id."""
        return len(self._candidates(picture_id)) == 1

    def path(self, picture_id: Id) -> Path:
        """The one file that an id means.

        Raises:
            XlxmertError: no file is meant, or more than one.
        """
        candidates = self._candidates(picture_id)
        if len(candidates) == 1:
            return candidates[0]
        name = self._file_names.get(picture_id)
        what = f"picture {picture_id!r}" + (f" ({name})" if name else "")
        if not candidates:
            raise XlxmertError(
                f"expected {what} in {self.folder}, found {len(self)} other pictures: "
                "pass the folder that belongs to the annotations"
            )
        first, second = (file.relative_to(self.folder).as_posix() for file in candidates[:2])
        raise XlxmertError(
            f"expected one file for {what} in {self.folder}, found {first} and {second}: "
            "pass the folder of one split, or remove one of them"
        )

    def _candidates(self, picture_id: Id) -> list[Path]:
        paths, names, stems, numbers = self._meanings
        if picture_id in self._file_names:
            file_name = self._file_names[picture_id]
            pure = PurePosixPath(file_name)
            found = paths.get(file_name) or names.get(pure.name) or stems.get(pure.stem)
            if found:
                return found
        name = str(picture_id)
        number = (name.lstrip("0") or "0") if name.isascii() and name.isdecimal() else ""
        return paths.get(name) or names.get(name) or stems.get(name) or numbers.get(number) or []


def _files(folder: Path, nested: bool) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_file():
                yield Path(entry.path)
            elif nested and entry.is_dir(follow_symlinks=False):
                yield from _files(Path(entry.path), nested)
