"""Captions as people keep them beside their own pictures: a table, a line of JSON per picture, or a text file for each.

================  ====================================================================================================
file              what it holds
================  ====================================================================================================
``*.jsonl``       one object per line, ``{"image": "a.jpg", "caption": "..."}``; a list of captions serves as well
``*.csv *.tsv``   a table with a head, of which one column names the pictures and one the captions
``*.txt``         ``a.jpg<TAB>caption`` in every line; or, without tabs, the captions of the picture of the same name
================  ====================================================================================================

Columns and members may be called `PICTURE` and `CAPTION`, whatever their case.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xlxmert.core.errors import XlxmertError
from xlxmert.core.files import no_text
from xlxmert.data.coco import read_captions
from xlxmert.data.pictures import Named
from xlxmert.data.records import CaptionRecord

SUFFIXES = (".jsonl", ".csv", ".tsv", ".txt")
PICTURE = ("image", "picture", "file", "file_name", "filename", "image_path", "path")
"""Names of what names a picture."""
CAPTION = ("caption", "captions", "text", "texts", "sentence", "sentences", "description")
"""Names of what describes it."""
Row = tuple[int, str, str]
"""Line of the file, name of the picture, caption."""


@dataclass(frozen=True)
class NamedPicture:
    """A picture that is known by its file's name alone."""

    id: str
    """The name."""

    @property
    def file_name(self) -> str:
        """The name."""
        return self.id


def read_plain_captions(path: Path) -> tuple[list[NamedPicture], list[CaptionRecord]]:
    """The pictures and captions of one file; captions without a word are left in.

    Raises:
        XlxmertError: the file is missing, no text in UTF-8, of another kind, empty, or a line of it lacks a picture or
            a caption.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise XlxmertError(f"expected captions at {path}, found nothing: check the path") from error
    except (OSError, UnicodeDecodeError) as error:
        raise no_text(path, error) from error
    rows = list(_rows(path, text))
    if not rows:
        raise XlxmertError(f"expected captions in {path}, found none: check the file")
    pictures = {name: NamedPicture(name) for _, name, _ in rows}
    return list(pictures.values()), [
        CaptionRecord(name, number, caption) for number, (_, name, caption) in enumerate(rows)
    ]


def read_any_captions(path: Path) -> tuple[Sequence[Named], Sequence[CaptionRecord]]:
    """The pictures and captions of COCO's ``captions_*.json``, or of one of the files above.

    Raises:
        XlxmertError: the file is missing, damaged or of another format.
    """
    return read_captions(path) if Path(path).suffix.lower() == ".json" else read_plain_captions(path)


def _rows(path: Path, text: str) -> Iterator[Row]:
    """The captions by the file's suffix."""
    match path.suffix.lower():
        case ".jsonl":
            return _json_lines(path, text)
        case ".csv":
            return _table(path, text, ",")
        case ".tsv":
            return _table(path, text, "\t")
        case ".txt":
            return _text(path, text)
        case other:
            raise XlxmertError(
                f"expected captions in a file that ends in {', '.join(SUFFIXES)}, or in COCO's .json, found '{other}' "
                f"({path}): rename or convert it"
            )


def _json_lines(path: Path, text: str) -> Iterator[Row]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise XlxmertError(f"expected an object in line {number} of {path}, found broken JSON ({error})") from error
        if not isinstance(entry, dict):
            raise XlxmertError(f"expected an object in line {number} of {path}, found a {type(entry).__name__}")
        members = {str(name).lower(): value for name, value in entry.items()}
        picture = _member(members, PICTURE, path, number)
        captions = _member(members, CAPTION, path, number)
        for caption in captions if isinstance(captions, list) else [captions]:
            yield number, _string(picture, "picture", path, number), _string(caption, "caption", path, number)


def _table(path: Path, text: str, delimiter: str) -> Iterator[Row]:
    reader = csv.reader(text.splitlines(keepends=True), delimiter=delimiter, strict=True)
    try:
        head = [name.strip().lower() for name in next(reader, [])]
        picture, caption = (_column(head, names, path) for names in (PICTURE, CAPTION))
        for row in reader:
            if not row:
                continue
            if len(row) <= max(picture, caption):
                raise XlxmertError(
                    f"expected {len(head)} columns in line {reader.line_num} of {path}, found {len(row)}: "
                    "put quotes around captions with a separator"
                )
            yield reader.line_num, _string(row[picture], "picture", path, reader.line_num), row[caption].strip()
    except csv.Error as error:
        raise XlxmertError(f"expected a table in {path}, found a broken line {reader.line_num}: {error}") from error


def _text(path: Path, text: str) -> Iterator[Row]:
    lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    tabs = ["\t" in line for _, line in lines]
    if any(tabs) and not all(tabs):
        number = lines[tabs.index(False)][0]
        raise XlxmertError(
            f"expected picture, tab and caption in line {number} of {path}, found no tab, as others have"
        )
    for number, line in lines:
        picture, tab, caption = line.partition("\t")
        if tab:
            yield number, _string(picture, "picture", path, number), caption.strip()
        else:
            yield number, path.stem, line.strip()


def _member(members: dict[str, Any], names: tuple[str, ...], path: Path, number: int) -> Any:
    for name in names:
        if name in members:
            return members[name]
    raise XlxmertError(
        f"expected one of {', '.join(names)} in line {number} of {path}, found {', '.join(members) or 'nothing'}"
    )


def _column(head: list[str], names: tuple[str, ...], path: Path) -> int:
    for name in names:
        if name in head:
            return head.index(name)
    raise XlxmertError(f"expected a column {' or '.join(names)} in {path}, found {', '.join(head) or 'none'}")


def _string(value: Any, what: str, path: Path, number: int) -> str:
    if not isinstance(value, str) or (what == "picture" and not value.strip()):
        raise XlxmertError(f"expected a {what} as text in line {number} of {path}, found {value!r}")
    return value.strip()
