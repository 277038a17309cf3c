"""Scores on the built-in world, where every fact can be checked: painting, rebuilding, captioning, answering, and more.

An evaluator takes predict functions and yields names and values; it knows no model.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from xlxmert.core.axes import Float, Tensor, UInt8
from xlxmert.core.errors import UsageError
from xlxmert.core.seeds import numpy_generator
from xlxmert.data.world.captions import Caption, facts_of_text, make_captions
from xlxmert.data.world.parser import parse_pictures
from xlxmert.data.world.questions import Question, annotate, make_questions
from xlxmert.data.world.render import render
from xlxmert.data.world.scene import FACT_KINDS, WORLD, Cut, Fact, Scene, make_scene
from xlxmert.metrics.caption import caption_scores
from xlxmert.metrics.caption_java import JavaScore
from xlxmert.metrics.vqa import Question as Asked
from xlxmert.metrics.vqa import vqa_scores
from xlxmert.tasks.world_reasoning import (
    Answerer,
    Retriever,
    Verifier,
    gqa_on_world,
    nlvr2_on_world,
    retrieval_on_world,
)

Pictures = UInt8[Tensor, "B S S 3"]


@dataclass(frozen=True)
class Example:
    """A scene of the world with what is said and asked of it."""

    scene: Scene
    captions: tuple[Caption, ...]
    questions: tuple[Question, ...]
    people: tuple[tuple[str, ...], ...]
    """Ten annotators' answers to each question."""
    split: str
    seed: int
    cut: Cut


@dataclass(frozen=True)
class Predictors:
    """What is scored; each function may be left out."""

    paint: Callable[[Sequence[str]], Pictures] | None = None
    rebuild: Callable[[Pictures], Pictures] | None = None
    """Pictures painted from their own true codes."""
    caption: Callable[[Pictures], Sequence[str]] | None = None
    answer: Answerer | None = None
    match: Callable[[Pictures, Sequence[str]], Float[Tensor, " B"]] | None = None
    """The probability that each sentence belongs to its picture."""
    reason: Answerer | None = None
    """As ``answer``, for GQA's questions."""
    verify: Verifier | None = None
    retrieve: Retriever | None = None
    java: tuple[JavaScore, ...] = ()
    """What captions are scored with besides; it needs Java."""


def examples(split: str, count: int, seed: int = 0, cut: Cut = WORLD) -> list[Example]:
    """The first ``count`` examples of a split, of the whole world or a cut of it.

    Raises:
        UsageError: there is no such split, or the count is not positive.
    """
    if count < 1:
        raise UsageError(f"expected at least one picture to score, found {count}: pass --pictures 200, for example")
    found = []
    for index in range(count):
        scene, key = make_scene(split, seed, index, cut), (split, seed, index)
        questions = tuple(make_questions(scene, *key))
        people = tuple(annotate(q, numpy_generator("people", *key, i)) for i, q in enumerate(questions))
        found.append(Example(scene, tuple(make_captions(scene, *key)), questions, people, split, seed, cut))
    return found


def true_pictures(found: Sequence[Example]) -> Pictures:
    """The examples' pictures."""
    return torch.from_numpy(np.stack([render(example.scene) for example in found]))


def score_world(found: Sequence[Example], predictors: Predictors) -> dict[str, float]:
    """All scores that the predictors allow, as shares in [0, 1]; see `xlxmert.tasks.scoring` for those that are not.

    CIDEr-D has its own unit too, as published: times 100.
    """
    scores: dict[str, float] = {}
    for part in (_paintings, _captions, _answers, _matches, _reasoning):
        scores.update(part(found, predictors))
    return scores


def fact_scores(stated: Sequence[Sequence[Fact]], scenes: Sequence[Scene]) -> Iterator[tuple[str, float]]:
    """Shares of stated facts that hold: of all, by kind, and of sentences of which every fact holds.

    ``every_one_object`` counts only sentences that state a single thing (one noun, of which there is one).
    """
    right, total = Counter[str](), Counter[str]()
    whole, single = [], []
    for facts, scene in zip(stated, scenes, strict=True):
        truths = scene.right(facts)
        for fact, true in truths.items():
            for kind in ("facts", fact[0]):
                right[kind] += true
                total[kind] += 1
        if truths:
            whole.append(all(truths.values()))
            if _one_object(facts):
                single.append(whole[-1])
    for kind in ("facts", *FACT_KINDS):
        if total[kind]:
            yield kind, right[kind] / total[kind]
    if whole:
        yield "every", float(np.mean(whole))
    if single:
        yield "every_one_object", float(np.mean(single))


def _one_object(facts: Sequence[Fact]) -> bool:
    counts = [fact[2] for fact in facts if fact[0] == "count"]
    return sum(fact[0] == "noun" for fact in facts) == 1 and counts in ([], ["1"])


def _paintings(found: Sequence[Example], predictors: Predictors) -> Iterator[tuple[str, float]]:
    """Facts of each first caption in the picture painted from it, and in the true picture rebuilt from its codes."""
    stated = [example.captions[0].facts for example in found]
    if predictors.paint:
        painted = predictors.paint([example.captions[0].text for example in found])
        yield from ((f"paint/{name}", value) for name, value in fact_scores(stated, parse_pictures(painted)))
    if predictors.rebuild:
        rebuilt = parse_pictures(predictors.rebuild(true_pictures(found)))
        yield from ((f"rebuild/{name}", value) for name, value in fact_scores(stated, rebuilt))


def _captions(found: Sequence[Example], predictors: Predictors) -> Iterator[tuple[str, float]]:
    """Facts that the captions state, the share of things they name, and CIDEr-D against the five true captions."""
    if not predictors.caption:
        return
    texts = list(predictors.caption(true_pictures(found)))
    stated = [facts_of_text(text) for text in texts]
    yield from ((f"caption/{name}", value) for name, value in fact_scores(stated, [example.scene for example in found]))
    things = [
        ({item.noun for item in e.scene.items}, {fact[1] for fact in s if fact[0] == "noun"})
        for e, s in zip(found, stated, strict=True)
    ]
    yield "caption/things_named", sum(len(a & b) for a, b in things) / sum(len(a) for a, _ in things)
    references = [[caption.text for caption in example.captions] for example in found]
    yield from (
        (f"caption/{name}", value) for name, value in caption_scores(texts, references, predictors.java).items()
    )


def _answers(found: Sequence[Example], predictors: Predictors) -> Iterator[tuple[str, float]]:
    """VQA accuracy against ten annotators, by type of answer."""
    if not predictors.answer:
        return
    pictures = list(true_pictures(found))
    rows = [(i, q, people) for i, e in enumerate(found) for q, people in zip(e.questions, e.people, strict=True)]
    replies = predictors.answer([pictures[i] for i, _, _ in rows], [q.text for _, q, _ in rows])
    asked = {i: Asked(people, q.answer_type, q.detailed) for i, (_, q, people) in enumerate(rows)}
    scores = vqa_scores(dict(enumerate(replies)), asked)
    yield from ((f"vqa/{name}", value / 100) for name, value in scores.items())


def _matches(found: Sequence[Example], predictors: Predictors) -> Iterator[tuple[str, float]]:
    """Accuracy of matching: each picture once with a caption of its own and once with another picture's."""
    if not predictors.match:
        return
    pictures, own = true_pictures(found), [example.captions[0].text for example in found]
    shift = max(1, len(own) // 3)
    other = [found[(i + shift) % len(found)].captions[1] for i in range(len(found))]
    true_too = torch.tensor([all(e.scene.right(c.facts).values()) for e, c in zip(found, other, strict=True)])
    yes, no = predictors.match(pictures, own) > 0.5, predictors.match(pictures, [c.text for c in other]) <= 0.5
    yield "match/accuracy", float(torch.cat([yes, no[~true_too]]).float().mean())


def _reasoning(found: Sequence[Example], predictors: Predictors) -> Iterator[tuple[str, float]]:
    """GQA's questions, NLVR2's statements and retrieval; see `xlxmert.tasks.world_reasoning`."""
    scenes, split, seed, cut = [example.scene for example in found], found[0].split, found[0].seed, found[0].cut
    if predictors.reason:
        yield from gqa_on_world(scenes, split, seed, predictors.reason).items()
    if predictors.verify:
        yield from nlvr2_on_world(len(found), split, seed, predictors.verify, cut).items()
    if predictors.retrieve:
        captions = [example.captions[0].text for example in found]
        yield from retrieval_on_world(scenes, captions, predictors.retrieve).items()
