"""LXMERT's detected boxes and their features, from and to ``train2014_obj36.tsv`` and its like.

One picture a line in ten columns without a head: ``img_id img_h img_w objects_id objects_conf attrs_id attrs_conf
num_boxes boxes features``. The arrays are base64: int64 for ids, float32 for the rest, boxes in pixels. A file of 36
boxes a picture has 400 kB a line; it is read a line at a time (github.com/airsplay/lxmert).
"""

import base64
import binascii
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from xlxmert.core.errors import XlxmertError
from xlxmert.core.files import atomic_path
from xlxmert.data.entries import Entry, brief
from xlxmert.data.features import SeenPicture, check_features, is_wanted, normalised
from xlxmert.data.records import Id
from xlxmert.data.streams import line_entry, text_lines

COLUMNS = (
    "img_id", "img_h", "img_w", "objects_id", "objects_conf", "attrs_id", "attrs_conf", "num_boxes", "boxes",
    "features",
)  # fmt: skip
MOST_SIDE = 10**6
"""Pixels; more is a mistake."""
SLACK = 0.01
"""Share of a picture's sides that a box may reach outside, from rounding."""


def read_tsv_features(path: Path, wanted: Container[Id] | None = None, flat: bool = False) -> Iterator[SeenPicture]:
    """The pictures of a file with their boxes, one at a time, in order.

    Args:
        path: the file, plain or gzip.
        wanted: the pictures to read; the lines of others are checked for their columns only. None reads all.
        flat: accept boxes of no area.

    Raises:
        XlxmertError: the file is missing, cut short or of another format, a picture repeats, a number is not finite, or
            a box is broken; the message names the line and the picture.
    """
    seen: set[str] = set()
    width = 0
    for number, line in text_lines(path, "features in ten columns"):
        entry, cells = line_entry(path, number), line.split("\t")
        if len(cells) != len(COLUMNS):
            raise entry.wrong(
                f"the ten columns {', '.join(COLUMNS)}",
                f"{len(cells)}",
                "the file is of another format or was cut short; download it again",
            )
        picture_id = entry.once(cells[0], seen, "picture")
        if is_wanted(picture_id, wanted):
            entry.place = f"line {number} (picture {brief(picture_id)})"
            picture = _picture(entry, dict(zip(COLUMNS, cells, strict=True)), flat)
            width = width or picture.features.shape[1]
            if picture.features.shape[1] != width:
                raise entry.wrong(
                    f"features of width {width} as before",
                    str(picture.features.shape[1]),
                    "the line was cut short; download the file again",
                )
            yield picture
    if not seen:
        raise XlxmertError(f"expected features in {path}, found an empty file: download it again")


def write_tsv_features(path: Path, pictures: Iterable[tuple[SeenPicture, int, int]]) -> None:
    """Write such a file, whole or not at all, from pictures with their widths and heights.

    Raises:
        XlxmertError: a picture has no boxes, labels or attributes, or the file cannot be written.
    """
    with atomic_path(path) as part, part.open("w", encoding="ascii", newline="\n") as stream:
        for picture, width, height in pictures:
            if picture.boxes is None or picture.labels is None or picture.attributes is None:
                raise XlxmertError(
                    f"expected boxes, labels and attributes of picture {picture.picture_id!r}, found none of one of "
                    "them: this format has no grids"
                )
            stream.write("\t".join(_cells(picture, width, height)) + "\n")


def _picture(entry: Entry, cells: dict[str, str], flat: bool) -> SeenPicture:
    height, width, count = (_whole(entry, cells, name) for name in ("img_h", "img_w", "num_boxes"))
    arrays = {
        name: _array(entry, cells, name, kind, (count, *shape))
        for name, kind, shape in (
            ("objects_id", "<i8", ()), ("objects_conf", "<f4", ()), ("attrs_id", "<i8", ()), ("attrs_conf", "<f4", ()),
            ("boxes", "<f4", (4,)), ("features", "<f4", (-1,)),
        )
    }  # fmt: skip
    check_features(entry, arrays["features"])
    for ids, scores in (("objects_id", "objects_conf"), ("attrs_id", "attrs_conf")):
        if (arrays[ids] < 0).any():
            raise entry.wrong(f'numbers from 0 as "{ids}"', str(arrays[ids].min()))
        if not ((arrays[scores] >= 0) & (arrays[scores] <= 1 + 1e-4)).all():
            raise entry.wrong(f'chances between 0 and 1 as "{scores}"', f"{_worst(arrays[scores])}")
    return SeenPicture(
        cells["img_id"],
        arrays["features"],
        normalised(entry, arrays["boxes"], width, height, SLACK, flat),
        arrays["objects_id"],
        arrays["objects_conf"],
        arrays["attrs_id"],
        arrays["attrs_conf"],
    )


def _whole(entry: Entry, cells: dict[str, str], name: str) -> int:
    text = cells[name].strip()
    if not text.isdecimal() or not text.isascii() or len(text) > 9 or not 1 <= int(text) <= MOST_SIDE:
        raise entry.wrong(f'a whole number from 1 as "{name}"', brief(text))
    return int(text)


def _array(entry: Entry, cells: dict[str, str], name: str, kind: str, shape: tuple[int, ...]) -> np.ndarray:
    """A column's numbers; a size of -1 is what is left of them."""
    text = cells[name].strip()
    if text[:2] in ("b'", 'b"'):  # how Python 3 writes bytes into a table
        text = text[2:-1]
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise entry.wrong(
            f'base64 as "{name}"',
            f"{len(text)} characters that are none ({error})",
            "the line was cut short or written anew; download the file again",
        ) from error
    dtype = np.dtype(kind)
    fixed = dtype.itemsize * int(np.prod([size for size in shape if size > 0]))
    if len(content) != fixed if -1 not in shape else (not content or len(content) % fixed):
        sizes = " x ".join("F" if size < 0 else str(size) for size in shape)
        raise entry.wrong(
            f'{sizes} numbers of {dtype.itemsize} bytes as "{name}"',
            f"{len(content)} bytes",
            "the line was cut short or num_boxes is wrong; download the file again",
        )
    return np.frombuffer(content, dtype).reshape(shape)


def _worst(scores: np.ndarray) -> Any:
    wrong = scores[~((scores >= 0) & (scores <= 1 + 1e-4))]
    return wrong[0]


def _cells(picture: SeenPicture, width: int, height: int) -> Iterator[str]:
    assert picture.boxes is not None and picture.labels is not None and picture.attributes is not None
    count = len(picture.features)
    sides = np.array([width, height, width, height])
    whole = np.ones(count, np.float32)
    scores = [whole if each is None else each for each in (picture.label_scores, picture.attribute_scores)]
    yield from (picture.picture_id, str(height), str(width))
    yield from (_packed(picture.labels, "<i8"), _packed(scores[0], "<f4"))
    yield from (_packed(picture.attributes, "<i8"), _packed(scores[1], "<f4"), str(count))
    yield from (_packed(picture.boxes * sides, "<f4"), _packed(picture.features, "<f4"))


def _packed(array: np.ndarray, kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(array, np.dtype(kind)).tobytes()).decode("ascii")
