"""Statements over pairs of pictures of the built-in world, true or false, as in NLVR2 (arXiv:1811.00491).

A set is four pairs of pictures on one topic with one or two sentences; each sentence is true of two of its pairs and
false of the other two, so that neither the sentence nor a single picture gives the answer away.
"""

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from xlxmert.core.seeds import numpy_generator
from xlxmert.data.nlvr2 import picture_names
from xlxmert.data.records import PairRecord
from xlxmert.data.world.lexicon import NOUNS, NUMBERS, PLURALS, SETTINGS, Noun, article
from xlxmert.data.world.scene import WORLD, Cut, Scene, held_out, make_scene

PAIRS = 4
"""Pairs of pictures in a set."""
SENTENCES = 2
"""Sentences that a set has at most."""
KINDS = ("total", "both", "exactly one", "at least one", "one side", "more", "setting")
"""What a statement is about."""
NAMES = {"train": "train", "val": "dev", "test": "test1", "heldout": "heldout"}
"""The splits' names in NLVR2's files and identifiers."""

Pair = tuple[Scene, Scene]


@dataclass(frozen=True)
class Statement:
    """A sentence about two pictures and the rule that decides it."""

    text: str
    kind: str
    holds: Callable[[Scene, Scene], bool]
    """Of the left and the right picture."""


@dataclass(frozen=True)
class PairSet:
    """Four pairs of pictures and the statements about them."""

    split: str
    index: int
    pairs: tuple[Pair, ...]
    statements: tuple[Statement, ...]

    def records(self) -> list[PairRecord]:
        """The statements as NLVR2 writes them, ``split-set-pair-sentence``, sentence by sentence."""
        records = []
        for number, statement in enumerate(self.statements):
            for place, pair in enumerate(self.pairs):
                name = f"{NAMES[self.split]}-{self.index}-{place}-{number}"
                records.append(PairRecord(*picture_names(name), name, statement.text, statement.holds(*pair)))
        return records

    def pictures(self) -> dict[str, Scene]:
        """The scenes by the file stems that NLVR2 gives their pictures."""
        stems = [picture_names(f"{NAMES[self.split]}-{self.index}-{place}-0") for place in range(len(self.pairs))]
        return {
            stem: scene
            for names, pair in zip(stems, self.pairs, strict=True)
            for stem, scene in zip(names, pair, strict=True)
        }


def make_pair_set(split: str, seed: int, index: int, cut: Cut = WORLD) -> PairSet:
    """The set of (split, seed, index), a pure function of them; its pictures keep to the split's combinations.

    The kinds of statements take turns with the index, so that each is as common as the others.

    Raises:
        UsageError: there is no such split, or the cut has no scene of it.
    """
    rng = numpy_generator("statements", split, seed, index)
    drawn = [make_scene(split, seed, int(rng.integers(2**40, 2**62)), cut) for _ in range(2 * PAIRS)]
    while True:
        topic, colour, setting = _topic(rng, split == "heldout", cut)
        share = float(rng.choice([0.3, 0.65]))
        scenes = [_changed(scene, split == "heldout", rng, topic, colour, setting, share, cut) for scene in drawn]
        pairs = tuple(zip(scenes[::2], scenes[1::2], strict=True))
        statements = _balanced(_candidates(topic, colour, setting), pairs, KINDS[index % len(KINDS)], rng)
        if statements:
            return PairSet(split, index, pairs, statements)


def _topic(rng: np.random.Generator, want_held_out: bool, cut: Cut) -> tuple[Noun, str, str]:
    """What a set is about: a noun, its colour and a setting; in the held-out split one of its own combinations."""
    nouns = [noun for noun in NOUNS if noun.name in cut.nouns]
    while True:
        topic, setting = nouns[int(rng.integers(len(nouns)))], str(rng.choice(list(cut.settings)))
        colour = str(rng.choice(list(cut.colours))) if topic.tinted else ""
        if not want_held_out or held_out(topic.name, colour, setting):
            return topic, colour, setting


def _changed(
    drawn: Scene,
    want_held_out: bool,
    rng: np.random.Generator,
    topic: Noun,
    colour: str,
    setting: str,
    share: float,
    cut: Cut,
) -> Scene:
    """A scene into which the topic and the setting are brought with a chance of ``share`` each."""
    while True:
        scene = dataclasses.replace(drawn, setting=setting) if rng.random() < share else drawn
        if rng.random() < share and not scene.group(topic.name):
            painted = colour if not topic.tinted or rng.random() < 0.6 else str(rng.choice(list(cut.colours)))
            scene = _with_topic(scene, topic, painted)
        if any(held_out(item.noun, item.colour, scene.setting) for item in scene.items) == want_held_out:
            return scene


def _with_topic(scene: Scene, topic: Noun, colour: str) -> Scene:
    """The same scene with its first group changed into the topic."""
    old = scene.items[0].noun
    items = (
        dataclasses.replace(item, noun=topic.name, colour=colour, action=topic.action) if item.noun == old else item
        for item in scene.items
    )
    return dataclasses.replace(scene, items=tuple(items))


def _balanced(
    candidates: list[Statement], pairs: tuple[Pair, ...], wanted: str, rng: np.random.Generator
) -> tuple[Statement, ...]:
    """A statement of the wanted kind and one of another, each true of half of the pairs; empty where there is none."""
    half = [each for each in candidates if sum(each.holds(*pair) for pair in pairs) * 2 == len(pairs)]
    by_kind = {kind: [each for each in half if each.kind == kind] for kind in KINDS}
    others = [kind for kind in KINDS if kind != wanted and by_kind[kind]]
    if not by_kind[wanted]:
        return ()
    chosen = [wanted, *(others[int(place)] for place in rng.permutation(len(others))[: SENTENCES - 1])]
    return tuple(by_kind[kind][int(rng.integers(len(by_kind[kind])))] for kind in chosen)


def _candidates(topic: Noun, colour: str, setting: str) -> list[Statement]:
    """Everything that could be said about this topic and this setting."""
    plain = functools.partial(_count, noun=topic.name, colour="", action="")
    statements = [
        *_existence(article(topic.name), plain),
        *_totals(topic.name, PLURALS[topic.name], plain),
        *_comparisons(PLURALS[topic.name], plain),
        *_places(setting),
    ]
    if colour:
        painted = functools.partial(_count, noun=topic.name, colour=colour, action="")
        statements += _existence(article(f"{colour} {topic.name}"), painted)
        statements += _totals(f"{colour} {topic.name}", f"{colour} {PLURALS[topic.name]}", painted)
        any_such = functools.partial(_count, noun="", colour=colour, action="")
        statements += _comparisons(f"{colour} things", any_such)
    if topic.action:
        active = functools.partial(_count, noun=topic.name, colour="", action=topic.action)
        statements += _existence(article(f"{topic.name} {topic.action}"), active)
    return statements


def _count(scene: Scene, noun: str, colour: str, action: str) -> int:
    """How many items answer a description; an empty word asks for nothing."""
    return sum(
        noun in ("", item.noun) and colour in ("", item.colour) and action in ("", item.action) for item in scene.items
    )


def _existence(thing: str, count: Callable[[Scene], int]) -> list[Statement]:
    """``both pictures contain a red car``, and its like for one picture, one side and none."""
    both = ("both pictures contain", "each picture contains")
    one = ("exactly one picture contains", "only one of the pictures contains")
    some = ("at least one of the pictures contains", "at least one picture contains")
    return [
        *(Statement(f"{start} {thing}", "both", lambda a, b: bool(count(a) and count(b))) for start in both),
        *(Statement(f"{start} {thing}", "exactly one", lambda a, b: bool(count(a)) != bool(count(b))) for start in one),
        *(Statement(f"{start} {thing}", "at least one", lambda a, b: bool(count(a) or count(b))) for start in some),
        Statement(f"neither picture contains {thing}", "at least one", lambda a, b: not (count(a) or count(b))),
        Statement(f"the left picture contains {thing}", "one side", lambda a, b: bool(count(a))),
        Statement(f"the right picture contains {thing}", "one side", lambda a, b: bool(count(b))),
    ]


def _totals(one: str, many: str, count: Callable[[Scene], int]) -> list[Statement]:
    """``there are three cars in total``, exactly or at least."""
    statements = []
    for number in range(1, len(NUMBERS)):
        verb, things = ("is", one) if number == 1 else ("are", many)
        exact = functools.partial(_sums_to, count=count, number=number, more=False)
        least = functools.partial(_sums_to, count=count, number=number, more=True)
        statements.append(Statement(f"there {verb} exactly {NUMBERS[number]} {things} in total", "total", exact))
        if number > 1:
            statements.append(Statement(f"there are at least {NUMBERS[number]} {things} in total", "total", least))
    return statements


def _sums_to(left: Scene, right: Scene, count: Callable[[Scene], int], number: int, more: bool) -> bool:
    total = count(left) + count(right)
    return total >= number if more else total == number


def _comparisons(many: str, count: Callable[[Scene], int]) -> list[Statement]:
    """``the left picture has more cars than the right picture``, and its like."""
    return [
        Statement(f"the left picture has more {many} than the right picture", "more", lambda a, b: count(a) > count(b)),
        Statement(f"the right picture has more {many} than the left picture", "more", lambda a, b: count(b) > count(a)),
        Statement(f"the pictures have the same number of {many}", "more", lambda a, b: count(a) == count(b)),
    ]


def _places(setting: str) -> list[Statement]:
    """``both pictures were taken on the beach``, and its like."""

    def said(start: str, holds: Callable[[bool, bool], bool]) -> list[Statement]:
        texts = (f"{start} taken {where}" for where in SETTINGS[setting])
        return [
            Statement(text, "setting", lambda a, b: holds(a.setting == setting, b.setting == setting)) for text in texts
        ]

    return [
        *said("both pictures were", lambda a, b: a and b),
        *said("the left picture was", lambda a, b: a),
        *said("the right picture was", lambda a, b: b),
        *said("exactly one of the pictures was", lambda a, b: a != b),
        *said("at least one of the pictures was", lambda a, b: a or b),
        Statement("both pictures show the same place", "setting", lambda a, b: a.setting == b.setting),
    ]
