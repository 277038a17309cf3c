"""Conceptual Captions, from ``Train_GCC-training.tsv`` and its like (ai.google.com/research/ConceptualCaptions).

Two columns a line, a caption and the address of its picture: 3,318,333 lines for training, 15,840 for validation. What
a download leaves behind is read too: a second column with local files, or the five columns of the report that the
common download script writes, whose last one is the local file. All of it plain or gzip.
"""

import re
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path

from xlxmert.core.errors import XlxmertError
from xlxmert.data.entries import Entry, brief
from xlxmert.data.records import Id
from xlxmert.data.streams import line_entry, text_lines

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")
_REPORT = 5
"""Columns of a download's report: caption, address, folder, status, file."""


@dataclass(frozen=True, slots=True)
class ConceptualRecord:
    """One caption and its picture."""

    number: int
    """Its line in the file, from 1."""
    text: str
    address: str
    """Where the picture was published; empty where the file does not say."""
    file_name: str | None
    """The picture's local file; None where it was not downloaded."""


def read_conceptual(path: Path, pictures: Container[Id] | None = None) -> Iterator[ConceptualRecord]:
    """The captions of a file, one at a time, in order.

    Args:
        path: the file, plain or gzip.
        pictures: the names of the local files that are known; None accepts all. Records without a file are not asked.

    Raises:
        XlxmertError: the file is missing, ends early or is of another format, or a picture is unknown.
    """
    columns = 0
    for number, line in text_lines(path, "captions and addresses"):
        entry, cells = line_entry(path, number), line.split("\t")
        columns = columns or len(cells)
        if len(cells) != columns or columns not in (2, _REPORT):
            wanted = (
                f"{columns} columns as above" if columns in (2, _REPORT) and number > 1 else "a caption and an address"
            )
            raise entry.wrong(wanted, f"{len(cells)} columns", "columns are parted by tabs; take the file as published")
        yield _record(entry, number, cells, pictures)
    if not columns:
        raise XlxmertError(f"expected captions and addresses in {path}, found none: check the file")


def _record(entry: Entry, number: int, cells: list[str], pictures: Container[Id] | None) -> ConceptualRecord:
    cells = [_unquoted(cell) for cell in cells] if len(cells) == _REPORT else cells
    text, where = cells[0].strip(), cells[1].strip()
    if not text or not where:
        raise entry.wrong("a caption and an address or a file", f"{brief(cells[0])} and {brief(cells[1])}", "remove it")
    address = where if _ADDRESS.fullmatch(where) else ""
    file_name: str | None = None if address else where
    if len(cells) == _REPORT:
        if not address or not re.fullmatch(r"[0-9]*(\.0)?", cells[3]):
            raise entry.wrong("an address, and a number as status", f"{brief(where)} and {brief(cells[3])}")
        file_name = cells[4].strip() or None
    if file_name is not None:
        entry.known(file_name, pictures)
    return ConceptualRecord(number, text, address, file_name)


def _unquoted(cell: str) -> str:
    """A cell without the quotation marks that the report's writer puts around some."""
    return cell[1:-1].replace('""', '"') if len(cell) > 1 and cell[0] == cell[-1] == '"' else cell
