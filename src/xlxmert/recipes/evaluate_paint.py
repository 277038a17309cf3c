"""Painting scored against real pictures and their captions: the papers' protocol for COCO, on anybody's pictures.

    xlxmert evaluate paint --images val2014 --captions captions_val2014.json

paints one caption of each of 30,000 pictures (X-LXMERT, App. E.1) and gives FID, KID, where the network has classes an
Inception Score, and R-precision. Of this recipe, the full run was never made: COCO's pictures could not be had. It was
run on pictures of the built-in world, written as COCO files.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.images import load_picture
from xlxmert.core.seeds import numpy_generator
from xlxmert.data.records import Id
from xlxmert.recipes.captioned import read_captioned
from xlxmert.recipes.judging import Asked, Judging, measures_of, readable
from xlxmert.recipes.paintings import (
    Order,
    Paintings,
    Pixels,
    has_list,
    made_by,
    paint_folder,
    painter,
    read_folder,
    start_folder,
)
from xlxmert.recipes.reading import Progress, no_progress
from xlxmert.recipes.sources import finder
from xlxmert.studio import Studio
from xlxmert.studio.options import STANDARD, PaintOptions
from xlxmert.tasks.painting_scores import Fidelity, Measure

PICTURES = 30_000
"""Pictures that the papers paint."""
TOGETHER = 32
"""Pictures that are measured together."""
PAINT = ("fidelity", "r-precision")
"""What ``paint`` stands for on files."""


@dataclass(frozen=True)
class PaintTest:
    """What is painted and how it is judged."""

    images: Path
    """Real pictures."""
    captions: Path
    """Their captions, as COCO has them."""
    pictures: int = PICTURES
    """How many are painted, at most."""
    seed: int = 0
    """Of the choice of captions, of the paintings and of all rivals."""
    painting: PaintOptions = STANDARD
    judging: Judging = field(default_factory=Judging)
    painted: Path | None = None
    """Measure the pictures of this folder instead of painting any."""
    keep: Path | None = None
    """Keep what is painted here."""


@dataclass(frozen=True)
class PaintReport:
    """What came of it."""

    pictures: int
    scores: dict[str, float]
    details: dict[str, Any]
    """Networks, scorers, numbers of pictures."""
    shortened: int
    """Captions that were longer than the model can read and lost their last words."""


def evaluate_paint(
    studio: Studio, tasks: Sequence[str], test: PaintTest, checkpoint: str = "", progress: Progress = no_progress
) -> PaintReport:
    """Paint, or read what was painted, and measure it.

    Args:
        studio: paints, and scores captions unless another scorer is asked for.
        tasks: of `xlxmert.recipes.judging.TASKS`; ``paint`` is `PAINT`.
        test: what is painted and how it is judged.
        checkpoint: what the studio was opened from, for the list of kept paintings.
        progress: told about pictures that were looked at.

    Raises:
        UsageError: there are too few pictures, or choices do not go together.
        XlxmertError: a file is missing or damaged, or an optional package is.
    """
    wanted = {each for task in tasks for each in (PAINT if task == "paint" else (task,))}
    orders, pool, real = _plan(test)
    told, cut = readable(studio, [order.caption for order in orders])
    orders = [replace(order, caption=text) for order, text in zip(orders, told, strict=True)]
    asked = Asked(told, [order.id for order in orders], pool)
    measures = measures_of(sorted(wanted), asked, studio, test.judging, test.seed)
    stream = _painted(studio, test, orders, checkpoint)
    _look(measures, (load_picture(path, studio.size) for path in real), stream, len(real), progress)
    details = {name: value for measure in measures for name, value in measure.details().items()}
    scores = {name: value for measure in measures for name, value in measure.scores().items()}
    return PaintReport(len(orders), scores, details, cut)


def _look(
    measures: Sequence[Measure],
    real: Iterable[Pixels],
    painted: Iterable[tuple[int, Pixels]],
    count: int,
    progress: Progress,
) -> None:
    """Show all pictures to the measures: the real ones first, to whom they matter, since one may be broken."""
    comparing = [measure for measure in measures if isinstance(measure, Fidelity)]
    total, seen = count * (2 if comparing else 1), 0
    progress(0, total)
    for _, some in _chunks(enumerate(real) if comparing else ()):
        for fidelity in comparing:
            fidelity.see_real(some)
        seen += len(some)
        progress(seen, total)
    for places, some in _chunks(painted):
        for measure in measures:
            measure.see(places, some)
        seen += len(some)
        progress(seen, total)


def _plan(test: PaintTest) -> tuple[list[Order], list[tuple[Id, str]], list[Path]]:
    """What is painted, all captions that hold a word, and the real pictures of those that are painted."""
    if test.pictures < 2:
        raise UsageError(f"expected at least 2 pictures to paint and compare, found {test.pictures}: ask for more")
    if test.keep is not None and test.painted is not None:
        raise UsageError("expected --painted or --keep, found both: what was painted already is kept where it is")
    told = read_captioned(test.images, test.captions)
    find = finder(test.images, told.pictures, test.captions)
    pool = [(record.picture_id, record.text) for record in told.captions]
    if test.painted is not None and has_list(test.painted):
        orders = list(read_folder(test.painted).orders)[: test.pictures]
    else:
        orders = _drawn(pool, test.pictures, test.seed)
    if len(orders) < 2:
        raise XlxmertError(
            f"expected captions of at least 2 pictures in {test.captions}, found {len(orders)}: add some"
        )
    return orders, pool, [find(order.id) for order in orders]


def _drawn(pool: Sequence[tuple[Id, str]], count: int, seed: int) -> list[Order]:
    """Pictures drawn among those with captions, one caption of each."""
    by_picture: dict[Id, list[str]] = {}
    for name, text in pool:
        by_picture.setdefault(name, []).append(text)
    names, rng = list(by_picture), numpy_generator("painted pictures", seed)
    chosen = sorted(int(place) for place in rng.permutation(len(names))[:count])
    texts = (by_picture[names[place]] for place in chosen)
    return [
        Order(names[place], of_picture[int(rng.integers(len(of_picture)))], seed + number)
        for number, (place, of_picture) in enumerate(zip(chosen, texts, strict=True))
    ]


def _painted(studio: Studio, test: PaintTest, orders: Sequence[Order], checkpoint: str) -> Iterator[tuple[int, Pixels]]:
    """The painted pictures with their places, one after the other; folders are checked now."""
    paint = painter(studio, test.painting)
    if test.painted is not None:
        paths = _paths(test.painted, orders)
        return enumerate(load_picture(path, studio.size) for path in paths)
    if test.keep is not None:
        folder = start_folder(test.keep, orders, made_by(studio, checkpoint, test.painting, test.judging.words))
        return paint_folder(folder, paint)
    return enumerate(paint([order.caption for order in orders], [order.seed for order in orders]))


def _paths(folder: Path, orders: Sequence[Order]) -> list[Path]:
    """The file of every picture in a folder that says what it holds, or names its files by the pictures' ids."""
    if has_list(folder):
        found = Paintings(folder, tuple(orders), {})
        return [found.path(order) for order in orders]
    find = finder(folder, (), folder)
    return [find(order.id) for order in orders]


def _chunks(stream: Iterable[tuple[int, Pixels]]) -> Iterator[tuple[list[int], torch.Tensor]]:
    """Places and pictures, some at a time."""
    places: list[int] = []
    pixels: list[np.ndarray] = []
    for place, picture in stream:
        places.append(place)
        pixels.append(picture)
        if len(pixels) == TOGETHER:
            yield places, torch.from_numpy(np.stack(pixels))
            places, pixels = [], []
    if pixels:
        yield places, torch.from_numpy(np.stack(pixels))
