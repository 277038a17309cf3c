"""Scores of a checkpoint on the built-in world: the studio's abilities behind the evaluator's predict functions."""

from collections.abc import Sequence

import numpy as np
import torch

from xlxmert.core.axes import Float, Tensor, UInt8
from xlxmert.core.errors import UsageError
from xlxmert.data.world.scene import WORLD, Cut
from xlxmert.sampling import Sampler
from xlxmert.studio import Studio
from xlxmert.studio.options import SAMPLER
from xlxmert.tasks.world_scores import Predictors, examples, score_world

MAIN = ("paint", "caption", "vqa", "match")
"""What is measured of every checkpoint; ``paint`` brings the ceiling: pictures rebuilt from their true codes."""
TASKS = (*MAIN, "gqa", "nlvr2", "retrieval")
"""What can be measured; ``nlvr2`` needs a checkpoint that was fine-tuned on it."""


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
    unknown = [task for task in tasks if task not in TASKS]
    if unknown:
        raise UsageError(f"expected tasks of {', '.join(TASKS)}, found {', '.join(unknown)}: leave them out")
    return score_world(examples(split, pictures, seed, cut), _predictors(studio, tasks, sampler, guidance, seed))


def _predictors(
    studio: Studio, tasks: Sequence[str], sampler: Sampler, guidance: float | None, seed: int
) -> Predictors:
    """The studio as functions of pictures and sentences, only those of the wanted tasks."""

    def paint(prompts: Sequence[str]) -> UInt8[Tensor, "B S S 3"]:
        seeds = [seed + i for i in range(len(prompts))]
        painted = studio.paint(list(prompts), seeds=seeds, sampler=sampler, guidance=guidance)
        return torch.from_numpy(np.stack([painting.picture for painting in painted]))

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

    wanted = set(tasks)
    return Predictors(
        paint=paint if "paint" in wanted else None,
        rebuild=rebuild if "paint" in wanted else None,
        caption=caption if "caption" in wanted else None,
        answer=answer if "vqa" in wanted else None,
        match=match if "match" in wanted else None,
        reason=answer if "gqa" in wanted else None,
        verify=verify if "nlvr2" in wanted else None,
        retrieve=retrieve if "retrieval" in wanted else None,
    )
