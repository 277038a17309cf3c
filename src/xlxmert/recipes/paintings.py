"""A folder of painted pictures and what they were painted from: kept once, scored again and shown to people later.

``paintings.json`` names every picture that the folder is to hold, so that painting which was interrupted goes on, and a
half-filled folder is not taken for a whole one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xlxmert.core.axes import UInt8
from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.files import read_json, write_json
from xlxmert.core.images import load_picture, save_png
from xlxmert.data.records import Id
from xlxmert.studio import Studio
from xlxmert.studio.options import PaintOptions

LIST = "paintings.json"
"""The folder's list."""

Pixels = UInt8[np.ndarray, "S S 3"]
Paint = Callable[[Sequence[str], Sequence[int]], Iterator[Pixels]]
"""One picture per caption and seed, in order."""


@dataclass(frozen=True)
class Order:
    """A picture to be painted."""

    id: Id
    """That of the real picture whose caption it is."""
    caption: str
    seed: int

    @property
    def file(self) -> str:
        """Its file in the folder."""
        return f"{str(self.id).replace('/', '_')}.png"


@dataclass(frozen=True)
class Paintings:
    """What a folder of paintings holds."""

    folder: Path
    orders: tuple[Order, ...]
    made: Mapping[str, Any]
    """How they were painted, and ``words``: the word lists that suit their captions."""

    def path(self, order: Order) -> Path:
        """A picture's file."""
        return self.folder / order.file


def painter(studio: Studio, options: PaintOptions) -> Paint:
    """A studio as a function from captions and seeds to pictures, one after the other."""
    return lambda prompts, seeds: (each.picture for each in studio.paint_each(prompts, seeds=seeds, options=options))


def made_by(studio: Studio, checkpoint: str, options: PaintOptions, words: str) -> dict[str, Any]:
    """How pictures were painted, for the list of a folder."""
    return {"checkpoint": checkpoint or "bundled", "painting": repr(options), "size": studio.size, "words": words}


def start_folder(folder: Path, orders: Sequence[Order], made: Mapping[str, Any]) -> Paintings:
    """Write a folder's list, or find the same one there: then its pictures count as painted.

    Raises:
        UsageError: the folder holds other paintings, or two pictures would have one file.
        XlxmertError: it cannot be written.
    """
    content = {"made": dict(made), "paintings": [asdict(order) for order in orders]}
    names = [order.file for order in orders]
    if len(set(names)) < len(names):
        raise UsageError("expected pictures with different ids, found some alike: keep them in no folder")
    if (folder / LIST).exists():
        if read_json(folder / LIST) != content:
            raise UsageError(
                f"expected the paintings of this very command in {folder}, found others (another checkpoint, seed, "
                "number or way of painting): name another folder, or score them with --painted"
            )
    else:
        write_json(folder / LIST, content)
    return Paintings(folder, tuple(orders), made)


def paint_folder(paintings: Paintings, paint: Paint) -> Iterator[tuple[int, Pixels]]:
    """All pictures of a folder with their places: read where they are there, painted and written where not.

    Raises:
        XlxmertError: a picture cannot be read or written.
    """
    missing = [order for order in paintings.orders if not paintings.path(order).exists()]
    fresh = paint([order.caption for order in missing], [order.seed for order in missing]) if missing else iter(())
    waiting = {order.file for order in missing}
    for place, order in enumerate(paintings.orders):
        if order.file in waiting:
            pixels = next(fresh)
            save_png(paintings.path(order), pixels)
        else:
            pixels = load_picture(paintings.path(order), _side(paintings.made))
        yield place, pixels


def read_folder(folder: Path) -> Paintings:
    """The list of a folder of paintings.

    Raises:
        XlxmertError: there is no list, it is damaged, or a picture of it was not painted yet.
    """
    content = read_json(folder / LIST)
    try:
        orders = tuple(Order(each["id"], str(each["caption"]), int(each["seed"])) for each in content["paintings"])
        made = dict(content["made"])
    except (KeyError, TypeError, ValueError) as error:
        raise XlxmertError(
            f"expected a list of paintings in {folder / LIST}, found something else: paint them again with --keep"
        ) from error
    found = Paintings(folder, orders, made)
    missing = [order.file for order in orders if not found.path(order).exists()]
    if missing or not orders:
        raise XlxmertError(
            f"expected {len(orders)} paintings in {folder}, missing {len(missing)} ({', '.join(missing[:3])} …): "
            "give the command that paints them again, it goes on where it was"
        )
    return found


def has_list(folder: Path) -> bool:
    """Whether a folder says what its pictures were painted from."""
    return (folder / LIST).is_file()


def _side(made: Mapping[str, Any]) -> int:
    return int(made.get("size", 256))
