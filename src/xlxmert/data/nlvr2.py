"""NLVR2's statements over pairs of pictures, from and to files of one JSON object per line (github.com/lil-lab/nlvr).

The file does not name its pictures: their names follow from the identifier (`picture_names`).
"""

import re
from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from typing import Any

from xlxmert.core.errors import XlxmertError
from xlxmert.data.entries import Entry, brief, read_lines, write_lines
from xlxmert.data.records import Id, PairRecord

IDENTIFIER = re.compile(r"(?P<pair>[A-Za-z0-9_]+-[0-9]+-[0-9]+)-[0-9]+")


def picture_names(identifier: str) -> tuple[str, str]:
    """The stems of the left and right picture of ``split-set-pair-sentence``: ``train-10171-0-img0`` and ``…-img1``.

    Raises:
        XlxmertError: the identifier has another shape.
    """
    match = IDENTIFIER.fullmatch(identifier)
    if match is None:
        raise XlxmertError(
            f"expected an identifier split-set-pair-sentence such as train-10171-0-0, found {brief(identifier)}: "
            "the pictures' names follow from it; correct it"
        )
    return f"{match['pair']}-img0", f"{match['pair']}-img1"


def read_nlvr2(path: Path, pictures: Container[Id] | None = None) -> list[PairRecord]:
    """The statements of a file, in order.

    Args:
        path: ``train.json``, ``dev.json``, ``test1.json``, ``test2.json`` or one of the balanced subsets.
        pictures: the stems of the known pictures; None accepts all.

    Raises:
        XlxmertError: the file is missing, cut short or of another format, an identifier repeats or has another shape,
            or a picture is unknown.
    """
    seen: set[str] = set()
    return [_pair(entry, pictures, seen) for entry in read_lines(path)]


def write_nlvr2(path: Path, records: Iterable[PairRecord]) -> None:
    """Write one line per statement, the file whole or not at all.

    Raises:
        XlxmertError: a pair's pictures are not named after its identifier, or the file cannot be written.
    """
    write_lines(path, map(_content, records))


def _pair(entry: Entry, pictures: Container[Id] | None, seen: set[str]) -> PairRecord:
    identifier = entry.once(entry.text("identifier"), seen, "identifier")
    if IDENTIFIER.fullmatch(identifier) is None:
        raise entry.wrong("an identifier split-set-pair-sentence such as train-10171-0-0", brief(identifier))
    left, right = (entry.known(name, pictures) for name in picture_names(identifier))
    return PairRecord(
        left,
        right,
        identifier,
        entry.text("sentence"),
        _truth(entry, "label"),
        entry.text_or("left_url", ""),
        entry.text_or("right_url", ""),
        entry.text_or("writer", ""),
        _judgements(entry, "validation"),
        _judgements(entry, "extra_validations"),
        entry.text_or("synset", ""),
        entry.text_or("query", ""),
        entry.whole("directory") if entry.content.get("directory") is not None else None,
    )


def _truth(entry: Entry, key: str) -> bool:
    value = entry.member(key)
    if isinstance(value, bool):
        return value
    if not isinstance(value, str) or value.lower() not in ("true", "false"):
        raise entry.wrong(f'"True" or "False" as "{key}"', brief(value))
    return value.lower() == "true"


def _judgements(entry: Entry, key: str) -> dict[str, bool]:
    if key not in entry:
        return {}
    judgements = entry.entry(key)
    return {worker: _truth(judgements, worker) for worker in judgements.content}


def _spelled(judgements: Mapping[str, bool]) -> dict[str, str]:
    return {worker: str(judgement) for worker, judgement in judgements.items()}


def _content(record: PairRecord) -> dict[str, Any]:
    names = picture_names(record.identifier)
    if (record.left_id, record.right_id) != names:
        raise XlxmertError(
            f"expected the pictures of {record.identifier} to be named {names[0]} and {names[1]}, "
            f"found {record.left_id} and {record.right_id}: "
            "this format has no other way to name them; rename the files or the pair"
        )
    content: dict[str, Any] = {
        "validation": _spelled(record.validation),
        "sentence": record.sentence,
        "left_url": record.left_url,
        "writer": record.writer,
        "label": str(record.label),
        "right_url": record.right_url,
    }
    if record.directory is not None:
        content["directory"] = record.directory
    content |= {"synset": record.synset, "query": record.query, "identifier": record.identifier}
    if record.extra_validations:
        content["extra_validations"] = _spelled(record.extra_validations)
    return content
