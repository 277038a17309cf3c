"""Scores on the built-in world of what takes reasoning: GQA's questions, NLVR2's statements, and retrieval."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from xlxmert.core.axes import Float, Tensor, UInt8
from xlxmert.data.records import QuestionRecord
from xlxmert.data.world.annotations import gqa_of
from xlxmert.data.world.lexicon import ACTIONS, COLOURS, NUMBERS, PLURALS, SETTINGS, THINGS
from xlxmert.data.world.render import render
from xlxmert.data.world.scene import WORLD, Cut, Scene
from xlxmert.data.world.statements import PAIRS, make_pair_set
from xlxmert.tasks.scoring import score_gqa, score_nlvr2, score_retrieval

Picture = UInt8[Tensor, "S S 3"]
Answerer = Callable[[Sequence[Picture], Sequence[str]], Sequence[str]]
"""One answer to one question about each picture; a picture that comes again is the same object."""
Verifier = Callable[[Sequence[Picture], Sequence[Picture], Sequence[str]], Float[Tensor, " M"]]
"""The probability that each statement holds of the left and the right picture of its number."""
Retriever = Callable[[Sequence[Picture], Sequence[str]], Float[Tensor, "B M"]]
"""How well each picture (row) and each sentence (column) fit."""

OPEN_ANSWERS: dict[str, tuple[str, ...]] = {
    "color": tuple(COLOURS),
    "place": tuple(SETTINGS),
    "activity": ACTIONS,
    "count": tuple(map(str, range(len(NUMBERS)))),
    "relO": THINGS,
}
"""What questions of a detailed type can be answered with."""


def gqa_on_world(scenes: Sequence[Scene], split: str, seed: int, answer: Answerer) -> dict[str, float]:
    """GQA's scores of the first scenes of a split, the questions that others entail included."""
    pictures = [picture_of(scene) for scene in scenes]
    by_scene = [gqa_of(scene, split, seed, index) for index, scene in enumerate(scenes)]
    records = [record for its in by_scene for record in its]
    beside = [picture for picture, its in zip(pictures, by_scene, strict=True) for _ in its]
    replies = answer(beside, [record.text for record in records])
    return score_gqa(records, replies, {str(record.question_id): choices_of(record) for record in records})


def choices_of(record: QuestionRecord) -> dict[str, tuple[str, ...]]:
    """GQA's choices for a question of the world: ``valid`` answers are of the kind that is asked for, ``plausible``
    ones can be true of some picture.

    They differ for ``what is above the dog ?``, which a dog would answer validly, but not plausibly.
    """
    if record.structural_type == "choose":
        named = tuple(word for word in record.text.split() if word in COLOURS)
        return {"valid": named, "plausible": named}
    valid = OPEN_ANSWERS.get(record.detailed_type, ("yes", "no"))
    own = {name for name in THINGS if record.text.endswith((f" {name} ?", f" {PLURALS[name]} ?"))}
    return {"valid": valid, "plausible": tuple(each for each in valid if each not in own)}


def nlvr2_on_world(count: int, split: str, seed: int, verify: Verifier, cut: Cut = WORLD) -> dict[str, float]:
    """NLVR2's scores on the first sets of pairs of a split that ``count`` pictures are enough for, at least one set."""
    sets = [make_pair_set(split, seed, index, cut) for index in range(max(1, count // (2 * PAIRS)))]
    records = [record for pair_set in sets for record in pair_set.records()]
    pictures = {name: picture_of(scene) for pair_set in sets for name, scene in pair_set.pictures().items()}
    lefts = [pictures[record.left_id] for record in records]
    rights = [pictures[record.right_id] for record in records]
    chances = verify(lefts, rights, [record.sentence for record in records])
    return score_nlvr2(records, (chances >= 0.5).tolist())


def retrieval_on_world(scenes: Sequence[Scene], captions: Sequence[str], retrieve: Retriever) -> dict[str, float]:
    """Retrieval among the scenes' pictures and one caption of each."""
    odds = retrieve([picture_of(scene) for scene in scenes], captions)
    return score_retrieval(odds, range(len(scenes)))


def picture_of(scene: Scene) -> Picture:
    """A scene's pixels."""
    return torch.from_numpy(np.array(render(scene)))
