"""Pictures with their captions, from a folder of paintings or from pictures beside a COCO file of captions."""

from dataclasses import dataclass, replace
from pathlib import Path

from xlxmert.core.errors import UsageError
from xlxmert.core.seeds import numpy_generator
from xlxmert.data.coco import read_captions
from xlxmert.data.records import Id
from xlxmert.recipes.paintings import has_list, read_folder
from xlxmert.recipes.sources import finder


@dataclass(frozen=True)
class Shown:
    """A picture that people see, and what it shows or was painted from."""

    id: Id
    caption: str
    path: Path


@dataclass(frozen=True)
class Collection:
    """Pictures of one system."""

    pictures: tuple[Shown, ...]
    words: str | None
    """The word lists that suit the captions, where the folder says so."""


def read_collection(folder: Path, captions: Path | None = None, seed: int = 0) -> Collection:
    """The pictures of a folder: those of its own list of paintings, or those that a COCO file of captions names.

    Args:
        folder: paintings that were kept, or any pictures.
        captions: COCO's ``captions_*.json``; one caption of each picture is drawn.
        seed: of these draws.

    Raises:
        UsageError: the folder has no list and no captions are given.
        XlxmertError: a file is missing or damaged.
    """
    if captions is None:
        if not has_list(folder):
            raise UsageError(f"expected --captions for {folder}, which has no list of paintings, found none: pass it")
        found = read_folder(folder)
        shown = tuple(Shown(order.id, order.caption, found.path(order)) for order in found.orders)
        return Collection(shown, found.made.get("words"))
    pictures, records = read_captions(captions)
    find = finder(folder, pictures, captions)
    by_picture: dict[Id, list[str]] = {}
    for record in records:
        if record.has_word:
            by_picture.setdefault(record.picture_id, []).append(record.text)
    rng = numpy_generator("shown captions", seed)
    shown = tuple(Shown(name, texts[int(rng.integers(len(texts)))], find(name)) for name, texts in by_picture.items())
    return Collection(shown, None)


def paired(one: Collection, other: Path) -> list[tuple[Shown, Shown]]:
    """Each picture of a collection beside the other folder's picture of the same id.

    Raises:
        UsageError: the other was painted from other captions.
        XlxmertError: a picture is missing.
    """
    if has_list(other):
        by_id = {each.id: each for each in read_collection(other).pictures}
        pairs = [(each, by_id[each.id]) for each in one.pictures if each.id in by_id]
        if any(mine.caption != theirs.caption for mine, theirs in pairs):
            raise UsageError(
                f"expected paintings of the same captions in {other}, found others: paint both with the same seed"
            )
        return pairs
    find = finder(other, (), other)
    return [(each, replace(each, path=find(each.id))) for each in one.pictures]
