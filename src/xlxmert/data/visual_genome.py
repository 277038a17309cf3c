"""Visual Genome's pictures, region descriptions and questions, as of version 1.2 (visualgenome.org).

``image_data.json`` must be read first: regions are boxes in pixels, and only it knows the pictures' sizes.
"""

import math
from collections.abc import Container, Iterable
from pathlib import Path
from typing import Any, TypeVar

from xlxmert.core.errors import XlxmertError
from xlxmert.data.entries import Entry, read_list, write_list
from xlxmert.data.records import Id, PictureRecord, QuestionRecord, RegionRecord

_Record = TypeVar("_Record")
BASE_URL = "https://cs.stanford.edu/people/rak248/"
"""Where the published pictures lie, in the folders ``VG_100K`` and ``VG_100K_2``."""


def read_image_data(path: Path) -> list[PictureRecord]:
    """The pictures of an ``image_data.json``; the file name is the end of the address, such as ``VG_100K_2/1.jpg``.

    Raises:
        XlxmertError: the file is missing, cut short or of another format, or an id repeats.
    """
    seen: set[Id] = set()
    return [
        PictureRecord(
            entry.once(entry.identity("image_id"), seen, "picture id"),
            _file_name(entry.text("url")),
            entry.whole("width", least=1),
            entry.whole("height", least=1),
            entry.whole("coco_id") if entry.content.get("coco_id") is not None else None,
        )
        for entry in read_list(path)
    ]


def write_image_data(path: Path, pictures: Iterable[PictureRecord], base_url: str = "") -> None:
    """Write an ``image_data.json``, whole or not at all; an address is ``base_url`` and the file name.

    Raises:
        XlxmertError: the file cannot be written.
    """
    entries = (
        {
            "width": picture.width,
            "url": base_url + picture.file_name,
            "height": picture.height,
            "image_id": picture.id,
            "coco_id": picture.coco_id,
            "flickr_id": None,
        }
        for picture in pictures
    )
    write_list(path, entries)


def read_regions(path: Path, pictures: Iterable[PictureRecord], slack: float = math.inf) -> list[RegionRecord]:
    """The regions of a ``region_descriptions.json``.

    Box edges up to ``slack`` pixels outside the picture are drawn in. All are by default: of the 5.4 million published
    regions some thousands reach over the edge, and a few lie wholly outside; these keep a box of no area at the edge.

    Raises:
        XlxmertError: the file is missing, cut short or of another format, a picture's region repeats, a picture is
            unknown, or a box is not finite, has a negative size or lies further outside than ``slack``.
    """
    by_id = {picture.id: picture for picture in pictures}
    seen: set[tuple[Id, Id]] = set()
    return [
        _region(outer, entry, by_id, seen, slack) for outer in read_list(path) for entry in outer.entries("regions")
    ]


def write_regions(path: Path, pictures: Iterable[PictureRecord], regions: Iterable[RegionRecord]) -> None:
    """Write a ``region_descriptions.json``, whole or not at all: every picture with its regions, boxes in whole pixels.

    Raises:
        XlxmertError: a region's picture is unknown, or the file cannot be written.
    """
    pictures = list(pictures)
    grouped: dict[Id, list[RegionRecord]] = {picture.id: [] for picture in pictures}
    for region in regions:
        _group(grouped, region.picture_id, f"region {region.region_id!r}").append(region)
    write_list(path, ({"regions": _regions(picture, grouped[picture.id]), "id": picture.id} for picture in pictures))


def read_question_answers(path: Path, pictures: Container[Id] | None = None) -> list[QuestionRecord]:
    """The questions of a ``question_answers.json``; the scored answer is in lower case and without its period.

    Args:
        path: the file.
        pictures: the ids of the known pictures; None accepts all.

    Raises:
        XlxmertError: the file is missing, cut short or of another format, an id repeats, or a picture is unknown.
    """
    seen: set[Id] = set()
    return [_question(outer, entry, pictures, seen) for outer in read_list(path) for entry in outer.entries("qas")]


def write_question_answers(path: Path, pictures: Iterable[Id], records: Iterable[QuestionRecord]) -> None:
    """Write a ``question_answers.json``, whole or not at all: every picture in order with its questions.

    Raises:
        XlxmertError: a question's picture is unknown or its raw answer missing, or the file cannot be written.
    """
    grouped: dict[Id, list[QuestionRecord]] = {picture: [] for picture in pictures}
    for record in records:
        _group(grouped, record.picture_id, f"question {record.question_id!r}").append(record)
    write_list(path, ({"id": picture, "qas": list(map(_qa, asked))} for picture, asked in grouped.items()))


def _file_name(url: str) -> str:
    if "://" not in url:
        return url
    folder, name = url.partition("?")[0].split("/")[-2:]
    return f"{folder}/{name}" if folder.startswith("VG_100K") else name


def _picture_id(outer: Entry, entry: Entry) -> Id:
    """The inner id; files differ in whether the outer one is called ``id`` or ``image_id``."""
    if "image_id" in entry:
        return entry.identity("image_id")
    return outer.identity("image_id" if "image_id" in outer else "id")


def _region(
    outer: Entry, entry: Entry, pictures: dict[Id, PictureRecord], seen: set[tuple[Id, Id]], slack: float
) -> RegionRecord:
    picture = pictures[entry.known(_picture_id(outer, entry), pictures)]
    _, region_id = entry.once((picture.id, entry.identity("region_id")), seen, "region id of this picture")
    sides = [entry.number(key) for key in ("x", "y", "width", "height")]
    return RegionRecord(picture.id, region_id, entry.text("phrase"), entry.box(sides, picture, slack))


def _question(outer: Entry, entry: Entry, pictures: Container[Id] | None, seen: set[Id]) -> QuestionRecord:
    raw = entry.text("answer")
    scored = raw.strip().rstrip(".").lower()
    return QuestionRecord(
        entry.known(_picture_id(outer, entry), pictures),
        entry.once(entry.identity("qa_id"), seen, "question id"),
        entry.text("question"),
        {scored: 1.0} if scored else {},
        (raw,),
    )


def _group(groups: dict[Id, list[_Record]], picture_id: Id, what: str) -> list[_Record]:
    if picture_id not in groups:
        raise XlxmertError(
            f"expected the picture of {what} among the pictures, found {picture_id!r}: add it to the pictures"
        )
    return groups[picture_id]


def _regions(picture: PictureRecord, regions: list[RegionRecord]) -> list[dict[str, Any]]:
    return [
        {
            "region_id": region.region_id,
            "width": round(region.box[2] * picture.width) - round(region.box[0] * picture.width),
            "height": round(region.box[3] * picture.height) - round(region.box[1] * picture.height),
            "image_id": picture.id,
            "phrase": region.phrase,
            "y": round(region.box[1] * picture.height),
            "x": round(region.box[0] * picture.width),
        }
        for region in regions
    ]


def _qa(record: QuestionRecord) -> dict[str, Any]:
    if not record.raw_answers:
        raise XlxmertError(
            f"expected a raw answer to question {record.question_id!r}, found none: this format has no open questions"
        )
    return {
        "a_objects": [],
        "question": record.text,
        "image_id": record.picture_id,
        "qa_id": record.question_id,
        "answer": record.raw_answers[0],
        "q_objects": [],
    }
