"""Scores of a checkpoint on the built-in world: the studio's abilities behind the evaluator's predict functions."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xlxmert.core.axes import Float, Tensor, UInt8
from xlxmert.core.errors import UsageError
from xlxmert.data.world.scene import WORLD, Cut
from xlxmert.metrics.caption_java import JavaScore, need_java
from xlxmert.recipes.judging import ON_WORLD, Asked, Judging, measures_of
from xlxmert.recipes.judging import TASKS as OF_PAINTINGS
from xlxmert.recipes.paintings import Order, Pixels, made_by, paint_folder, painter, start_folder
from xlxmert.recipes.reading import Progress, no_progress
from xlxmert.sampling import Sampler
from xlxmert.studio import Studio
from xlxmert.studio.options import SAMPLER, STANDARD, PaintOptions
from xlxmert.tasks.painting_scores import Fidelity, Measure
from xlxmert.tasks.world_scores import Example, Predictors, examples, score_world, true_pictures

MAIN = ("paint", "caption", "vqa", "match")
"""What is measured of every checkpoint; ``paint`` brings the ceiling: pictures rebuilt from their true codes."""
TASKS = (*MAIN, "gqa", "nlvr2", "retrieval", *OF_PAINTINGS)
"""What can be measured; ``nlvr2`` needs a checkpoint that was fine-tuned on it."""
TOGETHER = 32
"""Pictures that are measured together."""


@dataclass(frozen=True)
class WorldTest:
    """What is measured on the world, and how."""

    tasks: Sequence[str] = MAIN
    """Of `TASKS`."""
    pictures: int = 200
    """The first ones of the split."""
    split: str = "test"
    seed: int = 0
    """Of the world, of the paintings and of all draws."""
    painting: PaintOptions = STANDARD
    cut: Cut = WORLD
    """The part of the world that the checkpoint knows."""
    judging: Judging = field(default_factory=lambda: ON_WORLD)
    java: tuple[JavaScore, ...] = ()
    """What captions are scored with besides."""
    keep: Path | None = None
    """Keep what is painted here."""

    def __post_init__(self) -> None:
        """Refuse unknown tasks."""
        unknown = [task for task in self.tasks if task not in TASKS]
        if unknown:
            raise UsageError(f"expected tasks of {', '.join(TASKS)}, found {', '.join(unknown)}: leave them out")


@dataclass(frozen=True)
class WorldReport:
    """What was measured."""

    scores: dict[str, float]
    details: dict[str, Any]
    """Networks, scorers, numbers of pictures."""


def evaluate_world(
    studio: Studio,
    pictures: int = 200,
    split: str = "test",
    seed: int = 0,
    tasks: Sequence[str] = MAIN,
    sampler: Sampler = SAMPLER,
    cut: Cut = WORLD,
    guidance: float | None = None,
) -> dict[str, float]:
    """Measure a checkpoint on the first pictures of a split; see `xlxmert.tasks.world_scores` for the names.

    Raises:
        UsageError: a task, split or count is unknown or out of range.
    """
    painting = STANDARD.with_changes(sampler, guidance)
    return measure_world(studio, WorldTest(tasks, pictures, split, seed, painting, cut)).scores


def measure_world(
    studio: Studio, test: WorldTest, checkpoint: str = "", progress: Progress = no_progress
) -> WorldReport:
    """As `evaluate_world`, with what belongs beside the scores.

    Args:
        studio: the checkpoint.
        test: what is measured, and how.
        checkpoint: what the studio was opened from, for the list of kept paintings.
        progress: told how many pictures are painted.

    Raises:
        UsageError: a split or count is unknown or out of range, or a choice does not go with another.
        XlxmertError: an optional package is missing.
    """
    for name in test.java:
        need_java(name)
    found = examples(test.split, test.pictures, test.seed, test.cut)
    measures = _measures(studio, found, test)
    painted: list[UInt8[Tensor, "B S S 3"]] = []
    if measures or "paint" in test.tasks:
        painted.append(_painted(studio, found, test, checkpoint, progress))
    scores = score_world(found, _predictors(studio, test, lambda prompts: painted[0]))
    for measure in measures:
        _show(measure, found, painted[0])
        scores |= measure.scores()
    return WorldReport(scores, {name: value for measure in measures for name, value in measure.details().items()})


def _measures(studio: Studio, found: Sequence[Example], test: WorldTest) -> list[Measure]:
    captions = [example.captions[0].text for example in found]
    pool = [(place, caption.text) for place, example in enumerate(found) for caption in example.captions]
    return measures_of(test.tasks, Asked(captions, range(len(found)), pool), studio, test.judging, test.seed)


def _painted(
    studio: Studio, found: Sequence[Example], test: WorldTest, checkpoint: str, progress: Progress
) -> UInt8[Tensor, "B S S 3"]:
    """A picture of every example's first caption."""
    orders = [Order(place, each.captions[0].text, test.seed + place) for place, each in enumerate(found)]
    paint = painter(studio, test.painting)
    stream: Iterator[tuple[int, Pixels]]
    if test.keep is None:
        stream = enumerate(paint([order.caption for order in orders], [order.seed for order in orders]))
    else:
        folder = start_folder(test.keep, orders, made_by(studio, checkpoint, test.painting, "world"))
        stream = paint_folder(folder, paint)
    pictures = []
    for place, pixels in stream:
        pictures.append(pixels)
        progress(place + 1, len(orders))
    return torch.from_numpy(np.stack(pictures))


def _show(measure: Measure, found: Sequence[Example], painted: UInt8[Tensor, "B S S 3"]) -> None:
    """Let a measure see all pictures."""
    for start in range(0, len(found), TOGETHER):
        some = slice(start, start + TOGETHER)
        measure.see(range(len(found))[some], painted[some])
        if isinstance(measure, Fidelity):
            measure.see_real(true_pictures(found[some]))


def _predictors(
    studio: Studio, test: WorldTest, paint: Callable[[Sequence[str]], UInt8[Tensor, "B S S 3"]]
) -> Predictors:
    """The studio as functions of pictures and sentences, only those of the wanted tasks."""

    def rebuild(found: UInt8[Tensor, "B S S 3"]) -> UInt8[Tensor, "B S S 3"]:
        return torch.from_numpy(np.stack([painting.picture for painting in studio.rebuild(list(found))]))

    def caption(found: UInt8[Tensor, "B S S 3"]) -> list[str]:
        return [captions[0].text for captions in studio.caption(list(found))]

    def answer(found: Sequence[UInt8[Tensor, "S S 3"]], questions: Sequence[str]) -> list[str]:
        return studio.reply(found, questions)

    def match(found: UInt8[Tensor, "B S S 3"], sentences: Sequence[str]) -> Float[Tensor, " B"]:
        return torch.from_numpy(np.asarray(studio.fit(list(found), sentences)))

    def verify(
        left: Sequence[UInt8[Tensor, "S S 3"]], right: Sequence[UInt8[Tensor, "S S 3"]], statements: Sequence[str]
    ) -> Float[Tensor, " M"]:
        return torch.from_numpy(np.asarray(studio.verify(left, right, statements)))

    def retrieve(found: Sequence[UInt8[Tensor, "S S 3"]], sentences: Sequence[str]) -> Float[Tensor, "B M"]:
        return torch.from_numpy(np.asarray(studio.retrieve(found, sentences).odds))

    wanted = set(test.tasks)
    return Predictors(
        paint=paint if "paint" in wanted else None,
        rebuild=rebuild if "paint" in wanted else None,
        caption=caption if "caption" in wanted else None,
        answer=answer if "vqa" in wanted else None,
        match=match if "match" in wanted else None,
        reason=answer if "gqa" in wanted else None,
        verify=verify if "nlvr2" in wanted else None,
        retrieve=retrieve if "retrieval" in wanted else None,
        java=test.java,
    )
