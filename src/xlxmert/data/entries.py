"""Checked reading and streamed writing of annotation files, shared by the formats beside it (floor 2).

A reader walks a file as `Entry` objects. An entry knows its file and its place, so whatever is missing or of the wrong
kind becomes one line that names both. A writer encodes a thousand entries at a time: quick, and never the whole file
in memory.
"""

import json
import math
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TextIO, TypeVar

from xlxmert.core.errors import XlxmertError
from xlxmert.core.files import atomic_path, no_text, read_json
from xlxmert.data.records import Box, Id, PictureRecord

_Default = TypeVar("_Default", str, None)
_Key = TypeVar("_Key")
_PictureId = TypeVar("_PictureId", bound=Id)
_CHUNK = 1024
_LARGEST = 2**63 - 1
_ANOTHER = "check that the file is in the published format, or mend this entry"


def brief(value: Any) -> str:
    """What an error says was found: the value on one short line, or its kind."""
    match value:
        case dict():
            return f"an object with {len(value)} members"
        case list():
            return f"a list of {len(value)}"
        case None | bool():
            return json.dumps(value)
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


@dataclass(slots=True)
class Entry:
    """One JSON object of a file: reads its members by kind and says where it stands when one is not as expected."""

    content: dict[str, Any]
    source: Path
    place: str
    """For example ``annotations[17]``; empty for the file's outermost object."""

    def wrong(self, expected: str, found: str, move: str = _ANOTHER) -> XlxmertError:
        """The error to raise: what was expected and found here, and the next move."""
        where = f"{self.place} of {self.source}" if self.place else str(self.source)
        return XlxmertError(f"expected {expected} in {where}, found {found}: {move}")

    def __contains__(self, key: str) -> bool:
        """Whether the member is there."""
        return key in self.content

    def member(self, key: str) -> Any:
        """Any member, which must be there."""
        if key not in self.content:
            names = ", ".join(json.dumps(name) for name in islice(self.content, 6))
            raise self.wrong(f'"{key}"', f"only {names[:120]}" if names else "nothing")
        return self.content[key]

    def text(self, key: str) -> str:
        """A string that can be written as UTF-8."""
        value = self.member(key)
        if not isinstance(value, str):
            raise self.wrong(f'a string as "{key}"', brief(value))
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise self.wrong(f'text as "{key}"', f"half of a character pair in {brief(value)}") from None
        return value

    def text_or(self, key: str, default: _Default) -> str | _Default:
        """A string, or ``default`` where it is missing or null."""
        return default if self.content.get(key) is None else self.text(key)

    def identity(self, key: str) -> Id:
        """An id: a whole number of at most 64 bits, or a string."""
        value: Any = self.member(key)
        if isinstance(value, str):
            return self.text(key)
        if type(value) is not int or abs(value) > _LARGEST:
            raise self.wrong(f'a whole number or a string as "{key}"', brief(value))
        return value

    def whole(self, key: str, least: int | None = None) -> int:
        """A whole number of at most 64 bits, at least ``least``."""
        value: Any = self.member(key)
        if type(value) is not int or abs(value) > _LARGEST or (least is not None and value < least):
            floor = "" if least is None else f" of at least {least}"
            raise self.wrong(f'a whole number{floor} as "{key}"', brief(value))
        return value

    def numbers(self, key: str, count: int) -> list[float]:
        """A list of ``count`` finite numbers."""
        values = self.member(key)
        if not isinstance(values, list) or len(values) != count:
            raise self.wrong(f'a list of {count} numbers as "{key}"', brief(values))
        return [self._finite(f"{key}[{index}]", value) for index, value in enumerate(values)]

    def number(self, key: str) -> float:
        """A finite number."""
        return self._finite(key, self.member(key))

    def _finite(self, key: str, value: Any) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                if math.isfinite(value):
                    return float(value)
            except OverflowError:
                pass
        raise self.wrong(f'a finite number as "{key}"', brief(value))

    def flag(self, key: str) -> bool:
        """True or false; 0 and 1 are taken for them."""
        value = self.member(key)
        if value not in (0, 1):
            raise self.wrong(f'true or false as "{key}"', brief(value))
        return bool(value)

    def strings(self, key: str) -> tuple[str, ...]:
        """A list of strings."""
        values = self.member(key)
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise self.wrong(f'a list of strings as "{key}"', brief(values))
        return tuple(values)

    def entry(self, key: str) -> "Entry":
        """A nested object."""
        return as_entry(self.member(key), self.source, f"{self.place}.{key}" if self.place else key)

    def entries(self, key: str) -> "Iterator[Entry]":
        """The objects of a nested list, in order."""
        values = self.member(key)
        if not isinstance(values, list):
            raise self.wrong(f'a list as "{key}"', brief(values))
        path = f"{self.place}.{key}" if self.place else key
        return (as_entry(value, self.source, f"{path}[{index}]") for index, value in enumerate(values))

    def once(self, value: _Key, seen: set[_Key], what: str) -> _Key:
        """An id that no earlier entry had; it joins ``seen``."""
        if value in seen:
            raise self.wrong(
                f"a new {what}", f"{brief(value)} once more", "ids must not repeat; remove one of the two entries"
            )
        seen.add(value)
        return value

    def known(self, value: _PictureId, pictures: Container[Id] | None) -> _PictureId:
        """A picture's id that is among ``pictures``, where those are given."""
        if pictures is not None and value not in pictures:
            raise self.wrong(
                "the id of a known picture", brief(value), "the two files belong to different sets of pictures"
            )
        return value

    def box(self, sides: Sequence[float], picture: PictureRecord, slack: float) -> Box:
        """A pixel box (x, y, width, height) as `Box`; edges up to ``slack`` pixels outside the picture are drawn in."""
        x, y, width, height = sides
        inside = (
            x >= -slack and y >= -slack and x + width <= picture.width + slack and y + height <= picture.height + slack
        )
        if width < 0 or height < 0 or not inside:
            raise self.wrong(
                f"a box (x, y, width, height) within the {picture.width} x {picture.height} of picture {picture.id!r}",
                f"({x:g}, {y:g}, {width:g}, {height:g})",
                "boxes are in pixels of the original picture; correct this one or remove it",
            )
        x0, x1 = (min(max(side / picture.width, 0.0), 1.0) for side in (x, x + width))
        y0, y1 = (min(max(side / picture.height, 0.0), 1.0) for side in (y, y + height))
        return x0, y0, x1, y1


def as_entry(value: Any, source: Path, place: str) -> Entry:
    """The entry of a JSON value that must be an object."""
    if isinstance(value, dict):
        return Entry(value, source, place)
    raise XlxmertError(f"expected an object at {place or 'the top'} of {source}, found {brief(value)}: {_ANOTHER}")


def load(source: Path) -> Any:
    """The JSON of a file.

    Raises:
        XlxmertError: the file is missing, unreadable, cut short, or JSON that no annotation file holds.
    """
    try:
        return read_json(source)
    except (RecursionError, ValueError) as error:
        raise XlxmertError(
            f"expected annotations in {source}, found JSON that cannot be read ({error}): {_ANOTHER}"
        ) from error


def read_object(source: Path) -> Entry:
    """The entry of a file that holds one JSON object."""
    return as_entry(load(source), source, "")


def read_list(source: Path) -> Iterator[Entry]:
    """The entries of a file that holds one JSON list."""
    values = load(source)
    if not isinstance(values, list):
        raise XlxmertError(f"expected a list at the top of {source}, found {brief(values)}: {_ANOTHER}")
    return (as_entry(value, source, f"[{index}]") for index, value in enumerate(values))


def read_members(source: Path) -> Iterator[tuple[str, Entry]]:
    """The members of a file that holds one JSON object of objects; a name that stands twice is an error."""

    def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        content = dict(pairs)
        if len(content) < len(pairs):
            twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
            raise XlxmertError(
                f"expected distinct ids in {source}, found {brief(twice)} twice: remove one of the two entries"
            )
        return content

    try:
        content = json.loads(Path(source).read_text(encoding="utf-8"), object_pairs_hook=distinct)
    except (OSError, ValueError, RecursionError):
        content = load(source)
    members = as_entry(content, source, "").content
    return ((name, as_entry(value, source, f"[{json.dumps(name)}]")) for name, value in members.items())


def read_lines(source: Path) -> Iterator[Entry]:
    """The entries of a file with one JSON object on each line; empty lines are passed over."""
    try:
        with Path(source).open(encoding="utf-8") as stream:
            for number, line in enumerate(stream, start=1):
                if line.strip():
                    yield as_entry(json.loads(line), source, f"line {number}")
    except FileNotFoundError as error:
        raise XlxmertError(f"expected one JSON object per line in {source}, found nothing: check the path") from error
    except json.JSONDecodeError as error:
        raise XlxmertError(
            f"expected one JSON object per line in {source}, but line {number} is none ({error.msg}): "
            "the file may have been cut short; write or download it again"
        ) from error
    except (OSError, ValueError) as error:
        raise no_text(source, error) from error
    except RecursionError as error:
        raise XlxmertError(f"could not read {source} ({error}): {_ANOTHER}") from error


def _write_chunks(stream: TextIO, entries: Iterator[Any], shell: str) -> None:
    """Write what is between the brackets of a list or the braces of an object, a chunk at a time."""
    separator = ""
    while chunk := list(islice(entries, _CHUNK)):
        stream.write(separator + json.dumps(dict(chunk) if shell == "{}" else chunk)[1:-1])
        separator = ", "


def write_object(target: Path, members: Mapping[str, Any]) -> None:
    """Write one JSON object atomically; a member that is an iterator becomes a list, streamed."""
    with atomic_path(target) as part, part.open("w", encoding="ascii", newline="\n") as stream:
        separator = "{"
        for name, value in members.items():
            stream.write(f"{separator}{json.dumps(name)}: ")
            separator = ", "
            if isinstance(value, Iterator):
                stream.write("[")
                _write_chunks(stream, value, "[]")
                stream.write("]")
            else:
                stream.write(json.dumps(value))
        stream.write("}\n")


def write_list(target: Path, entries: Iterable[Any]) -> None:
    """Write one JSON list atomically, streamed."""
    with atomic_path(target) as part, part.open("w", encoding="ascii", newline="\n") as stream:
        stream.write("[")
        _write_chunks(stream, iter(entries), "[]")
        stream.write("]\n")


def write_members(target: Path, members: Iterable[tuple[str, Any]]) -> None:
    """Write one JSON object of many members atomically, streamed; names must differ."""
    with atomic_path(target) as part, part.open("w", encoding="ascii", newline="\n") as stream:
        stream.write("{")
        _write_chunks(stream, iter(members), "{}")
        stream.write("}\n")


def write_lines(target: Path, entries: Iterable[Any]) -> None:
    """Write one JSON object per line atomically, streamed."""
    with atomic_path(target) as part, part.open("w", encoding="ascii", newline="\n") as stream:
        stream.writelines(json.dumps(entry) + "\n" for entry in entries)
