"""Karpathy's splits, from and to ``dataset_coco.json``, ``dataset_flickr30k.json`` and ``dataset_flickr8k.json``.

One file holds pictures, captions and the split of each picture. Captioning and retrieval on COCO and Flickr30k are
compared on these splits: Karpathy and Fei-Fei, "Deep visual-semantic alignments for generating image descriptions",
CVPR 2015; cs.stanford.edu/people/karpathy/deepimagesent/caption_datasets.zip.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.data.entries import Entry, brief, read_object, write_object
from xlxmert.data.records import CaptionRecord, Id

SPLITS = {"train": ("train", "restval"), "restval": ("restval",), "val": ("val",), "test": ("test",)}
"""What a split's name means, in the file's own words. COCO's ``restval`` are the pictures of val2014 that are neither
in ``val`` nor in ``test``; papers train on them too, so ``train`` is 82,783 + 30,504 = 113,287 pictures. Flickr's files
have no ``restval``."""
NAMES = ("train", "restval", "val", "test")
"""The words that a file may use."""


@dataclass(frozen=True)
class SplitPicture:
    """One picture, its file and its split."""

    id: Id
    """COCO's id, where the file has one, so that COCO's other files speak of the same picture; else the file's name."""
    file_name: str
    """With the folder before it, where the file names one: ``val2014/COCO_val2014_000000391895.jpg``."""
    split: str
    """As the file has it, one of `NAMES`."""


@dataclass(frozen=True)
class Karpathy:
    """Pictures and captions of a file, or of one of its splits."""

    source: Path
    pictures: tuple[SplitPicture, ...]
    captions: tuple[CaptionRecord, ...]
    """As they were written, empty ones too."""

    def of(self, split: str) -> "Karpathy":
        """Those of one split, see `SPLITS`, in the file's order.

        Raises:
            UsageError: there is no split of this name.
            XlxmertError: the file has no picture of it.
        """
        if split not in SPLITS:
            raise UsageError(f"expected one of the splits {', '.join(SPLITS)}, found '{split}': choose one of them")
        pictures = tuple(picture for picture in self.pictures if picture.split in SPLITS[split])
        if not pictures:
            counts = Counter(picture.split for picture in self.pictures)
            found = ", ".join(f"{counts[name]} of {name}" for name in NAMES if counts[name])
            raise XlxmertError(
                f"expected pictures of the split '{split}' in {self.source}, found {found or 'none of any'}: "
                "choose another split, or take the file of the whole data set"
            )
        ids = {picture.id for picture in pictures}
        captions = tuple(caption for caption in self.captions if caption.picture_id in ids)
        return Karpathy(self.source, pictures, captions)


def read_karpathy(path: Path) -> Karpathy:
    """All pictures and captions of a ``dataset_*.json``; the text of a caption is its ``raw``, tokens are not read.

    Raises:
        XlxmertError: the file is missing, cut short or of another format, an ``imgid``, ``sentid`` or picture repeats,
            a split is unknown, or a sentence is of another picture or not among the picture's ``sentids``.
    """
    seen: tuple[set[Id], set[Id], set[Id]] = set(), set(), set()
    pictures: list[SplitPicture] = []
    captions: list[CaptionRecord] = []
    for entry in read_object(path).entries("images"):
        picture, sentences = _picture(entry, *seen)
        pictures.append(picture)
        captions += sentences
    return Karpathy(path, tuple(pictures), tuple(captions))


def write_karpathy(
    path: Path, dataset: str, pictures: Iterable[SplitPicture], captions: Iterable[CaptionRecord]
) -> None:
    """Write a ``dataset_*.json``, whole or not at all; a picture whose id is a number has it as ``cocoid``.

    Args:
        path: the file.
        dataset: the data set's name.
        pictures: in order; an id that is a string must be the file's name, as nothing else of it is written.
        captions: theirs.

    Raises:
        XlxmertError: a picture repeats or its id cannot be written, a caption's picture is unknown, or the file cannot
            be written.
    """
    by_picture: dict[SplitPicture, list[CaptionRecord]] = {picture: [] for picture in pictures}
    by_id = {picture.id: picture for picture in by_picture}
    for picture in by_picture:
        if by_id[picture.id] is not picture or picture.split not in NAMES:
            raise XlxmertError(f"expected every picture once and in a split of {', '.join(NAMES)}, found {picture}")
        if isinstance(picture.id, str) and picture.id != picture.file_name:
            raise XlxmertError(f"expected a number or the file's name as id, found {picture}: only these are written")
    for caption in captions:
        if caption.picture_id not in by_id:
            raise XlxmertError(
                f"expected the picture of caption {caption.caption_id!r} among the pictures, found "
                f"{caption.picture_id!r}: add it to the pictures"
            )
        by_picture[by_id[caption.picture_id]].append(caption)
    write_object(path, {"images": _images(by_picture.items()), "dataset": dataset})


def _picture(
    entry: Entry, numbers: set[Id], ids: set[Id], sentences: set[Id]
) -> tuple[SplitPicture, list[CaptionRecord]]:
    number = entry.once(entry.identity("imgid"), numbers, "imgid")
    split = entry.text("split")
    if split not in NAMES:
        raise entry.wrong(f'{", ".join(NAMES)} as "split"', brief(split))
    folder, name = entry.text_or("filepath", ""), entry.text("filename")
    file_name = f"{folder.strip('/')}/{name}" if folder else name
    picture_id = entry.identity("cocoid") if "cocoid" in entry else file_name
    entry.once(picture_id, ids, "cocoid" if "cocoid" in entry else "file name")
    captions = [_caption(each, number, picture_id, sentences) for each in entry.entries("sentences")]
    _check_listed(entry, [caption.caption_id for caption in captions])
    return SplitPicture(picture_id, file_name, split), captions


def _caption(entry: Entry, number: Id, picture_id: Id, sentences: set[Id]) -> CaptionRecord:
    owner = entry.identity("imgid")
    if owner != number:
        raise entry.wrong(
            f'{number!r}, its picture\'s, as "imgid"', brief(owner), "move the sentence to its own picture"
        )
    return CaptionRecord(picture_id, entry.once(entry.identity("sentid"), sentences, "sentid"), entry.text("raw"))


def _check_listed(entry: Entry, found: list[Id]) -> None:
    """Complain where the picture's list of ``sentids`` and its sentences are not the same."""
    listed = entry.member("sentids")
    if not isinstance(listed, list):
        raise entry.wrong('a list as "sentids"', brief(listed))
    strays = [each for each in listed if each not in found] + [each for each in found if each not in listed]
    if strays or len(listed) != len(found):
        what = f"{brief(strays[0])} in one of the two only" if strays else f"{len(listed)} and {len(found)}"
        raise entry.wrong('the ids of its "sentences" as "sentids"', what, "mend this entry")


def _images(pictures: Iterable[tuple[SplitPicture, list[CaptionRecord]]]) -> Iterator[dict[str, Any]]:
    for number, (picture, captions) in enumerate(pictures):
        folder, _, name = picture.file_name.rpartition("/")
        yield {
            **({"filepath": folder} if folder else {}),
            "sentids": [caption.caption_id for caption in captions],
            "filename": name,
            "imgid": number,
            "split": picture.split,
            "sentences": [
                {
                    "tokens": re.findall(r"[^\W_]+(?:['-][^\W_]+)*", caption.text.lower()),
                    "raw": caption.text,
                    "imgid": number,
                    "sentid": caption.caption_id,
                }
                for caption in captions
            ],
            **({"cocoid": picture.id} if isinstance(picture.id, int) else {}),
        }
