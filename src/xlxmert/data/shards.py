"""Pictures with captions in tar files, as webdataset writes them (github.com/webdataset/webdataset).

A shard holds samples, one after the other; a sample is what shares a name up to the first dot of its file's name:
``000017.jpg`` is the picture, ``000017.txt`` its caption, ``000017.json`` an object with one of `CAPTION`, a text or a
list of them. Anything else is passed over. Shards are read from the first byte to the last, plain or compressed, and
nothing in them is ever unpacked to where it says.
"""

import itertools
import json
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.data.pictures import SUFFIXES
from xlxmert.data.plain_captions import CAPTION

LARGEST = 2**28
"""Bytes of the largest member that is read."""
RANGE = re.compile(r"\{([0-9]+)\.\.([0-9]+)\}")
MOST_SHARDS = 10**6
Member = tuple[str, str, bytes]
"""Key, suffix in small letters, and content."""


@dataclass(frozen=True)
class Sample:
    """One sample of a shard."""

    key: str
    """Its name, with forward slashes if the shard has folders."""
    suffix: str
    """Of the picture, ``.jpg``; empty where there is none."""
    picture: bytes
    """The picture's file."""
    captions: tuple[str, ...]
    """Those that hold a word."""

    @property
    def lacks(self) -> str:
        """What is missing; empty where it is whole."""
        return "" if self.picture and self.captions else "no caption" if self.picture else "no picture"


def expanded(name: str) -> list[Path]:
    """The shards that a name with ranges means: ``data-{000000..000009}.tar`` is ten of them.

    Raises:
        UsageError: a range is turned around, or there are too many.
    """
    found = RANGE.search(name)
    if found is None:
        return [Path(name)]
    first, last = int(found[1]), int(found[2])
    if not first <= last < first + MOST_SHARDS:
        raise UsageError(f"expected a range of at most {MOST_SHARDS} shards, found {found[0]} in {name}: mend it")
    numbers = (f"{number:0{len(found[1])}d}" for number in range(first, last + 1))
    return [path for number in numbers for path in expanded(f"{name[: found.start()]}{number}{name[found.end() :]}")]


def read_shard(path: Path) -> Iterator[Sample]:
    """The samples of a shard, one at a time.

    Raises:
        XlxmertError: the file is missing, cut short or no tar file.
    """
    for key, members in itertools.groupby(_members(Path(path)), key=lambda member: member[0]):
        suffix, picture, captions = "", b"", list[str]()
        for _, kind, content in members:
            if kind in SUFFIXES:
                suffix, picture = kind, content
            elif kind == ".txt":
                captions.append(content.decode("utf-8", "replace"))
            elif kind == ".json":
                captions += _told(content)
        yield Sample(key, suffix, picture, tuple(text.strip() for text in captions if text.strip()))


def _members(path: Path) -> Iterator[Member]:
    try:
        with tarfile.open(path, "r|*") as shard:
            for member in shard:
                folder, _, name = member.name.rpartition("/")
                stem, dot, suffix = name.partition(".")
                kind = dot + suffix.lower()
                if not member.isfile() or not stem or kind not in (*SUFFIXES, ".txt", ".json"):
                    continue
                file = shard.extractfile(member) if member.size <= LARGEST else None
                yield f"{folder}/{stem}" if folder else stem, kind, file.read() if file else b""
    except FileNotFoundError as error:
        raise XlxmertError(f"expected a shard at {path}, found nothing: check the path") from error
    except (tarfile.TarError, OSError, EOFError) as error:
        raise XlxmertError(f"could not read {path} ({error}): cut short or no tar file; download it again") from error


def _told(content: bytes) -> list[str]:
    """The captions in an object; none where it is damaged."""
    try:
        entry = json.loads(content)
    except ValueError:
        return []
    found: Any = next((entry[name] for name in CAPTION if name in entry), None) if isinstance(entry, dict) else None
    return [text for text in (found if isinstance(found, list) else [found]) if isinstance(text, str)]
