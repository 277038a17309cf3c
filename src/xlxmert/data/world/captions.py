"""Captions of the built-in world, with the facts that each one states, and the way back from words to facts.

A caption names every group of its scene, so a picture painted from it needs nothing that it does not say; colour, size,
relation and setting are left out now and then, as people do.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from xlxmert.core.seeds import numpy_generator
from xlxmert.data.world.lexicon import ACTIONS, COLOURS, NUMBERS, PLURALS, RELATIONS, SETTINGS, SIZES, article
from xlxmert.data.world.scene import Fact, Item, Scene

RELATION_PHRASES: dict[str, tuple[str, ...]] = {
    "left of": ("to the left of", "on the left of"),
    "right of": ("to the right of", "on the right of"),
    "above": ("above", "over"),
    "below": ("below", "under"),
}
"""How captions say a relation."""


@dataclass(frozen=True)
class Caption:
    """A sentence and the facts that it states."""

    text: str
    facts: tuple[Fact, ...]


def noun_phrase(group: Sequence[Item], colour: bool = True, size: bool = True) -> Caption:
    """``two big red cars`` with its facts; ``group`` holds the items of one noun, all alike."""
    item, count = group[0], len(group)
    facts: list[Fact] = [("noun", item.noun), ("count", item.noun, str(count))]
    words = [item.noun if count == 1 else PLURALS[item.noun]]
    if item.colour and colour:
        words.insert(0, item.colour)
        facts.append(("colour", item.noun, item.colour))
    if item.size and size:
        words.insert(0, item.size)
        facts.append(("size", item.noun, item.size))
    if item.action:
        words.append(item.action)
        facts.append(("action", item.noun, item.action))
    phrase = " ".join(words)
    return Caption(article(phrase) if count == 1 else f"{NUMBERS[count]} {phrase}", tuple(facts))


def relations_of(scene: Scene) -> list[tuple[str, str, str]]:
    """All relations that hold between two groups, as (noun, relation, noun)."""
    nouns = [group[0].noun for group in scene.groups]
    return [(a, r, b) for a in nouns for b in nouns for r in RELATIONS if a != b and scene.relation_holds(a, r, b)]


def make_captions(scene: Scene, *key: int | str, count: int = 5) -> list[Caption]:
    """``count`` captions of a scene; ``key`` names the picture, so that the words are a pure function of it."""
    rng = numpy_generator("captions", *key)
    return [_caption(scene, rng) for _ in range(count)]


def _caption(scene: Scene, rng: np.random.Generator) -> Caption:
    groups = [scene.groups[int(i)] for i in rng.permutation(len(scene.groups))]
    phrases = {g[0].noun: noun_phrase(g, bool(rng.random() < 0.92), bool(rng.random() < 0.85)) for g in groups}
    related = relations_of(scene)
    relation = related[int(rng.integers(len(related)))] if related and rng.random() < 0.75 else None
    text = _join(phrases, relation, rng)
    facts = [fact for phrase in phrases.values() for fact in phrase.facts]
    if relation:
        facts.append(("relation", *relation))
    single = len(groups[0]) == 1 if not relation else len(scene.group(relation[0])) == 1
    opening = int(rng.integers(4))
    where = str(rng.choice(SETTINGS[scene.setting])) if rng.random() < 0.88 else ""
    if where:
        facts.append(("setting", scene.setting))
    return Caption(_frame(text, where, opening, single), tuple(facts))


def _frame(text: str, where: str, opening: int, single: bool) -> str:
    """One of four openings, with the setting before or after."""
    verb = "there is" if single else "there are"
    if where and opening == 3:
        return f"{where} {verb} {text}"
    body = (text, f"{verb} {text}", f"a picture of {text}", text)[opening]
    return f"{body} {where}".strip()


def _join(phrases: dict[str, Caption], relation: tuple[str, str, str] | None, rng: np.random.Generator) -> str:
    """The noun phrases of a caption in one string."""
    if relation:
        first, name, second = relation
        phrase = str(rng.choice(RELATION_PHRASES[name]))
        pair = f"{phrases[first].text} {phrase} {phrases[second].text}"
        others = [phrases[noun].text for noun in phrases if noun not in (first, second)]
        return " , and ".join([pair, *others])
    texts = [caption.text for caption in phrases.values()]
    link = " and " if rng.random() < 0.7 else " with "
    return link.join([" , ".join(texts[:-1]), texts[-1]]) if len(texts) > 1 else texts[0]


_SINGULAR = {name: name for name in PLURALS} | {many: name for name, many in PLURALS.items()}
_WHERE = {phrase: setting for setting, phrases in SETTINGS.items() for phrase in phrases}
_HOW = {phrase: relation for relation, phrases in RELATION_PHRASES.items() for phrase in phrases}


def _any(words: Sequence[str]) -> str:
    return "|".join(sorted((re.escape(word) for word in words if word), key=len, reverse=True))


_NOUN_PHRASE = re.compile(
    rf"\b(?:(?P<count>an?|{_any(NUMBERS)})\s+)?(?:(?P<size>{_any(list(SIZES))})\s+)?(?:(?P<colour>{_any(list(COLOURS))})\s+)?"
    rf"(?P<noun>{_any(list(_SINGULAR))})\b(?:\s+(?P<action>{_any(ACTIONS)})\b)?"
)
_SETTING = re.compile(rf"\b({_any(list(_WHERE))})\b")


def facts_of_text(text: str) -> tuple[Fact, ...]:
    """The facts that a sentence states, in the order in which it states them; what it cannot read it passes over."""
    text = " ".join(text.lower().replace(",", " , ").replace(".", " ").split())
    settings: list[Fact] = [("setting", _WHERE[match.group()]) for match in _SETTING.finditer(text)]
    text = _SETTING.sub("|", text)
    facts: list[Fact] = []
    found = list(_NOUN_PHRASE.finditer(text))
    for match in found:
        facts.extend(_facts_of_match(match))
    for one, two in pairwise(found):
        between = text[one.end() : two.start()].strip()
        if between in _HOW:
            facts.append(("relation", _SINGULAR[one["noun"]], _HOW[between], _SINGULAR[two["noun"]]))
    return tuple(dict.fromkeys(facts + settings))


def _facts_of_match(match: re.Match[str]) -> list[Fact]:
    noun = _SINGULAR[match["noun"]]
    facts: list[Fact] = [("noun", noun)]
    if match["count"]:
        facts.append(("count", noun, str(1 if match["count"] in ("a", "an") else NUMBERS.index(match["count"]))))
    for kind in ("colour", "size", "action"):
        if match[kind]:
            facts.append((kind, noun, match[kind]))
    return facts
