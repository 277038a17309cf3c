"""Flickr30k's captions, from and to ``results_20130124.token`` (shannon.cs.illinois.edu/DenotationGraph).

One caption a line: the picture's file, ``#`` and the caption's number, a tab, the caption. Flickr8k's
``Flickr8k.token.txt`` is of the same form. Karpathy's split of either is read by `xlxmert.data.karpathy`, which gives
pictures the same ids.
"""

import re
from collections.abc import Container, Iterable
from pathlib import Path

from xlxmert.core.errors import XlxmertError
from xlxmert.core.files import write_text
from xlxmert.data.entries import Entry, brief
from xlxmert.data.records import CaptionRecord, Id
from xlxmert.data.streams import line_entry, text_lines

_NAME = re.compile(r"(?P<file>.+)#(?P<number>[0-9]+)")


def read_flickr(path: Path, pictures: Container[Id] | None = None) -> list[CaptionRecord]:
    """The captions of a token file, in order; a picture's id is its file's name, a caption's ``1000092795.jpg#0``.

    Args:
        path: the file, plain or gzip.
        pictures: the ids of the known pictures; None accepts all.

    Raises:
        XlxmertError: the file is missing, cut short or of another format, a caption's name repeats, or a picture is
            unknown.
    """
    seen: set[str] = set()
    captions = []
    for number, line in text_lines(path, "captions of Flickr30k"):
        entry = line_entry(path, number)
        captions.append(_caption(entry, line, pictures, seen))
    if not captions:
        raise XlxmertError(f"expected captions of Flickr30k in {path}, found none: check the file")
    return captions


def write_flickr(path: Path, captions: Iterable[CaptionRecord]) -> None:
    """Write a token file, whole or not at all; the captions of a picture are numbered in their order.

    Raises:
        XlxmertError: a caption holds a tab or the end of a line, or the file cannot be written.
    """
    counts: dict[Id, int] = {}
    lines = []
    for caption in captions:
        if not str(caption.picture_id).strip() or set("\t\r\n") & set(f"{caption.picture_id}{caption.text}"):
            raise XlxmertError(
                f"expected a caption on one line and without tabs, found {caption}: replace them by spaces"
            )
        number = counts.get(caption.picture_id, 0)
        counts[caption.picture_id] = number + 1
        lines.append(f"{caption.picture_id}#{number}\t{caption.text}\n")
    write_text(path, "".join(lines))


def _caption(entry: Entry, line: str, pictures: Container[Id] | None, seen: set[str]) -> CaptionRecord:
    name, *texts = line.split("\t")
    match = _NAME.fullmatch(name)
    if match is None or len(texts) != 1:
        raise entry.wrong(
            "a picture's file, # and a number, a tab and a caption, such as 1000092795.jpg#0",
            f"{brief(name)} and {len(texts)} columns after it",
            "take the file as it is published",
        )
    entry.once(name, seen, "caption")
    return CaptionRecord(entry.known(match["file"], pictures), name, texts[0])
