"""COCO's captions and instances, from and to ``captions_*.json`` and ``instances_*.json`` (cocodataset.org).

Boxes in the file are x, y, width, height in pixels; in the records they are normalised.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from xlxmert.core.errors import XlxmertError
from xlxmert.data.entries import Entry, read_object, write_object
from xlxmert.data.records import About, CaptionRecord, Id, InstanceRecord, PictureRecord

SLACK = 1.0
"""How many pixels a published box may reach over the picture's edge, from rounding."""


def read_pictures(path: Path) -> list[PictureRecord]:
    """The pictures of a captions, instances or image-info file.

    Raises:
        XlxmertError: the file is missing, cut short or of another format, or an id repeats.
    """
    return list(_pictures(read_object(path)).values())


def read_captions(path: Path) -> tuple[list[PictureRecord], list[CaptionRecord]]:
    """The pictures and captions of a ``captions_*.json``.

    Raises:
        XlxmertError: the file is missing, cut short or of another format, an id repeats, or a picture is unknown.
    """
    file = read_object(path)
    pictures = _pictures(file)
    seen: set[Id] = set()
    captions = [
        CaptionRecord(
            entry.known(entry.identity("image_id"), pictures),
            entry.once(entry.identity("id"), seen, "caption id"),
            entry.text("caption"),
        )
        for entry in file.entries("annotations")
    ]
    return list(pictures.values()), captions


def write_captions(
    path: Path, pictures: Iterable[PictureRecord], captions: Iterable[CaptionRecord], about: About | None = None
) -> None:
    """Write a ``captions_*.json``, whole or not at all.

    Raises:
        XlxmertError: the file cannot be written.
    """
    annotations = (
        {"image_id": caption.picture_id, "id": caption.caption_id, "caption": caption.text} for caption in captions
    )
    write_object(path, _head(pictures, about or About()) | {"annotations": annotations})


def read_instances(path: Path, slack: float = SLACK) -> tuple[list[PictureRecord], list[InstanceRecord]]:
    """The pictures and objects of an ``instances_*.json``; box edges up to ``slack`` pixels outside are drawn in.

    Segmentations and areas are not read. Objects may carry a list of strings, ``attributes``, which COCO itself lacks.

    Raises:
        XlxmertError: the file is missing, cut short or of another format, an id repeats, a picture or category is
            unknown, or a box is not finite or lies outside its picture.
    """
    file = read_object(path)
    pictures = _pictures(file)
    names: dict[Id, str] = {}
    for entry in file.entries("categories"):
        names[entry.once(entry.identity("id"), set(names), "category id")] = entry.text("name")
    seen: set[Id] = set()
    return list(pictures.values()), [
        _instance(entry, pictures, names, seen, slack) for entry in file.entries("annotations")
    ]


def write_instances(
    path: Path,
    pictures: Iterable[PictureRecord],
    instances: Iterable[InstanceRecord],
    categories: Mapping[str, str],
    about: About | None = None,
) -> None:
    """Write an ``instances_*.json``, whole or not at all; the segmentation is the box as a polygon.

    Args:
        path: the file.
        pictures: all pictures, with or without objects.
        instances: the objects.
        categories: supercategory by category; ids count from 1 in this order, so give every split the same mapping.
        about: what the file says of itself.

    Raises:
        XlxmertError: an object's picture or category is unknown, or the file cannot be written.
    """
    by_id = {picture.id: picture for picture in pictures}
    ids = {name: number for number, name in enumerate(categories, start=1)}
    write_object(
        path,
        _head(by_id.values(), about or About())
        | {"annotations": (_annotation(instance, by_id, ids) for instance in instances)}
        | {
            "categories": [
                {"supercategory": above, "id": ids[name], "name": name} for name, above in categories.items()
            ]
        },
    )


def _pictures(file: Entry) -> dict[Id, PictureRecord]:
    pictures: dict[Id, PictureRecord] = {}
    seen: set[Id] = set()
    for entry in file.entries("images"):
        picture_id = entry.once(entry.identity("id"), seen, "picture id")
        size = entry.whole("width", least=1), entry.whole("height", least=1)
        pictures[picture_id] = PictureRecord(picture_id, entry.text("file_name"), *size)
    return pictures


def _instance(
    entry: Entry, pictures: Mapping[Id, PictureRecord], names: Mapping[Id, str], seen: set[Id], slack: float
) -> InstanceRecord:
    picture = pictures[entry.known(entry.identity("image_id"), pictures)]
    category = entry.identity("category_id")
    if category not in names:
        raise entry.wrong('the id of one of the "categories" as "category_id"', repr(category))
    return InstanceRecord(
        picture.id,
        entry.once(entry.identity("id"), seen, "object id"),
        names[category],
        entry.box(entry.numbers("bbox", 4), picture, slack),
        entry.strings("attributes") if "attributes" in entry else (),
        entry.flag("iscrowd") if "iscrowd" in entry else False,
    )


def _annotation(
    instance: InstanceRecord, pictures: Mapping[Id, PictureRecord], ids: Mapping[str, int]
) -> dict[str, Any]:
    picture = pictures.get(instance.picture_id)
    if picture is None or instance.category not in ids:
        what = f"picture {instance.picture_id!r}" if picture is None else f"category {instance.category!r}"
        raise XlxmertError(
            f"expected a known picture and category in instance {instance.instance_id!r}, found {what}: add it"
        )
    x0, y0, x1, y1 = instance.box
    left, right = round(x0 * picture.width, 2), round(x1 * picture.width, 2)
    top, bottom = round(y0 * picture.height, 2), round(y1 * picture.height, 2)
    width, height = round(right - left, 2), round(bottom - top, 2)
    annotation: dict[str, Any] = {
        "segmentation": [[left, top, right, top, right, bottom, left, bottom]],
        "area": round(width * height, 4),
        "iscrowd": int(instance.crowd),
        "image_id": instance.picture_id,
        "bbox": [left, top, width, height],
        "category_id": ids[instance.category],
        "id": instance.instance_id,
    }
    return annotation | {"attributes": instance.attributes} if instance.attributes else annotation


def _head(pictures: Iterable[PictureRecord], about: About) -> dict[str, Any]:
    return {
        "info": {
            "description": about.description,
            "url": about.url,
            "version": "1.0",
            "year": about.year,
            "contributor": about.contributor,
            "date_created": about.date[:10].replace("-", "/"),
        },
        "images": _images(pictures, about.date),
        "licenses": [{"url": about.license_url, "id": 1, "name": about.license_name}],
    }


def _images(pictures: Iterable[PictureRecord], date: str) -> Iterator[dict[str, Any]]:
    for picture in pictures:
        yield {
            "license": 1,
            "file_name": picture.file_name,
            "coco_url": "",
            "height": picture.height,
            "width": picture.width,
            "date_captured": date,
            "flickr_url": "",
            "id": picture.id,
        }
