"""Questions about scenes of the built-in world: VQA-style with ten annotators' answers, GQA-style with entailments.

Both come from the same small set of askers; an asker looks at a scene and gives a question, or None when it has nothing
to ask.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from xlxmert.core.seeds import numpy_generator
from xlxmert.data.world.captions import RELATION_PHRASES, relations_of
from xlxmert.data.world.lexicon import ACTIONS, COLOURS, PLURALS, RELATIONS, SETTINGS, THINGS, article
from xlxmert.data.world.scene import Item, Scene


@dataclass(frozen=True)
class Question:
    """A question with its answer and what kind of question it is (VQA's answer type, GQA's three types)."""

    text: str
    answer: str
    answer_type: str
    """``yes/no``, ``number`` or ``other``."""
    structural: str
    """GQA: ``query``, ``verify``, ``choose``, ``logical`` or ``compare``."""
    semantic: str
    """GQA: ``obj``, ``attr``, ``rel``, ``cat`` or ``global``."""
    detailed: str
    full_answer: str
    about: tuple[str, ...] = ()
    """What the question is about, to find entailments."""
    entailed: tuple["Question", ...] = field(default=())
    """Questions whose answers follow from this one's."""


Asker = Callable[[Scene, np.random.Generator], Question | None]


def _pick(rng: np.random.Generator, options: list[tuple[Item, ...]]) -> tuple[Item, ...] | None:
    return options[int(rng.integers(len(options)))] if options else None


def _yes_no(truth: bool) -> str:
    return "yes" if truth else "no"


def _be(count: int) -> str:
    return "is" if count == 1 else "are"


def _named(group: tuple[Item, ...]) -> str:
    return group[0].noun if len(group) == 1 else PLURALS[group[0].noun]


def ask_exists(scene: Scene, rng: np.random.Generator) -> Question:
    """``is there a dog ?``, half of them no."""
    present = [group[0].noun for group in scene.groups]
    truth = bool(rng.random() < 0.5)
    noun = str(rng.choice(present if truth else [name for name in THINGS if name not in present]))
    return _exists(noun, truth)


def _exists(noun: str, truth: bool) -> Question:
    full = f"yes, there is {article(noun)}." if truth else f"no, there is no {noun}."
    return Question(
        f"is there {article(noun)} ?", _yes_no(truth), "yes/no", "verify", "obj", "exist", full, ("obj", noun)
    )


def ask_setting(scene: Scene, rng: np.random.Generator) -> Question:
    """``where is this ?``"""
    text = str(rng.choice(["where is this ?", "what place is shown ?", "where was this picture taken ?"]))
    full = f"this is {SETTINGS[scene.setting][0]}."
    return Question(text, scene.setting, "other", "query", "global", "place", full, ("global", scene.setting))


def ask_is_setting(scene: Scene, rng: np.random.Generator) -> Question:
    """``is this on the beach ?``"""
    truth = bool(rng.random() < 0.5)
    setting = scene.setting if truth else str(rng.choice([name for name in SETTINGS if name != scene.setting]))
    where = str(rng.choice(SETTINGS[setting]))
    full = f"yes, it is {where}." if truth else f"no, it is not {where}."
    return Question(
        f"is this {where} ?", _yes_no(truth), "yes/no", "verify", "global", "placeVerify", full, ("global", setting)
    )


def ask_colour(scene: Scene, rng: np.random.Generator) -> Question | None:
    """``what color is the car ?``"""
    group = _pick(rng, [group for group in scene.groups if group[0].colour])
    if group is None:
        return None
    noun, colour = group[0].noun, group[0].colour
    text = f"what color {_be(len(group))} the {_named(group)} ?"
    full = f"the {_named(group)} {_be(len(group))} {colour}."
    entailed = (_is_colour(group, colour), _exists(noun, True))
    return Question(text, colour, "other", "query", "attr", "color", full, ("attr", noun), entailed)


def _is_colour(group: tuple[Item, ...], colour: str) -> Question:
    truth, be = group[0].colour == colour, _be(len(group))
    full = f"{_yes_no(truth)}, the {_named(group)} {be} {'' if truth else 'not '}{colour}."
    text = f"{be} the {_named(group)} {colour} ?"
    entailed = (_exists(group[0].noun, True),) if truth else ()
    return Question(
        text, _yes_no(truth), "yes/no", "verify", "attr", "colorVerify", full, ("attr", group[0].noun), entailed
    )


def ask_is_colour(scene: Scene, rng: np.random.Generator) -> Question | None:
    """``is the car red ?``"""
    group = _pick(rng, [group for group in scene.groups if group[0].colour])
    if group is None:
        return None
    true = group[0].colour
    return _is_colour(
        group, true if rng.random() < 0.5 else str(rng.choice([name for name in COLOURS if name != true]))
    )


def ask_choose_colour(scene: Scene, rng: np.random.Generator) -> Question | None:
    """``is the car red or blue ?``"""
    group = _pick(rng, [group for group in scene.groups if group[0].colour])
    if group is None:
        return None
    true = group[0].colour
    pair = [true, str(rng.choice([name for name in COLOURS if name != true]))]
    first, second = (pair[int(i)] for i in rng.permutation(2))
    text = f"{_be(len(group))} the {_named(group)} {first} or {second} ?"
    full = f"the {_named(group)} {_be(len(group))} {true}."
    return Question(
        text, true, "other", "choose", "attr", "chooseAttr", full, ("attr", group[0].noun), (_is_colour(group, true),)
    )


def ask_how_many(scene: Scene, rng: np.random.Generator) -> Question:
    """``how many cars are there ?``, now and then of what is not there."""
    if rng.random() < 0.1:
        absent = [name for name in THINGS if not scene.group(name)]
        noun, count = str(rng.choice(absent)), 0
    else:
        group = scene.groups[int(rng.integers(len(scene.groups)))]
        noun, count = group[0].noun, len(group)
    full = f"there {_be(count)} {count}."
    return Question(
        f"how many {PLURALS[noun]} are there ?", str(count), "number", "query", "obj", "count", full, ("count", noun)
    )


def ask_are_there(scene: Scene, rng: np.random.Generator) -> Question | None:
    """``are there three cars ?``"""
    group = _pick(rng, list(scene.groups))
    if group is None:
        return None
    truth = bool(rng.random() < 0.5)
    count = len(group) if truth else int(rng.choice([n for n in range(2, 6) if n != len(group)]))
    if count == 1:
        return None
    number, full = ("zero", "one", "two", "three", "four", "five")[count], f"there {_be(len(group))} {len(group)}."
    text = f"are there {number} {PLURALS[group[0].noun]} ?"
    return Question(text, _yes_no(truth), "yes/no", "verify", "obj", "countVerify", full, ("count", group[0].noun))


def ask_action(scene: Scene, rng: np.random.Generator) -> Question | None:
    """``what is the man doing ?``"""
    group = _pick(rng, [group for group in scene.groups if group[0].action])
    if group is None:
        return None
    be, full = _be(len(group)), f"the {_named(group)} {_be(len(group))} {group[0].action}."
    text, noun = f"what {be} the {_named(group)} doing ?", group[0].noun
    entailed = (_is_doing(group, group[0].action), _exists(noun, True))
    return Question(text, group[0].action, "other", "query", "attr", "activity", full, ("attr", noun), entailed)


def _is_doing(group: tuple[Item, ...], action: str) -> Question:
    truth, be = group[0].action == action, _be(len(group))
    full = f"{_yes_no(truth)}, the {_named(group)} {be} {group[0].action}."
    text = f"{be} the {_named(group)} {action} ?"
    return Question(text, _yes_no(truth), "yes/no", "verify", "attr", "activityVerify", full, ("attr", group[0].noun))


def ask_is_doing(scene: Scene, rng: np.random.Generator) -> Question | None:
    """``is the man running ?``"""
    group = _pick(rng, [group for group in scene.groups if group[0].action])
    if group is None:
        return None
    true = group[0].action
    return _is_doing(group, true if rng.random() < 0.5 else str(rng.choice([name for name in ACTIONS if name != true])))


def ask_relation(scene: Scene, rng: np.random.Generator) -> Question | None:
    """``is the car to the left of the dog ?``"""
    related = relations_of(scene)
    if not related:
        return None
    first, relation, second = related[int(rng.integers(len(related)))]
    truth = bool(rng.random() < 0.5)
    if not truth:
        relation = str(rng.choice([r for r in RELATIONS if not scene.relation_holds(first, r, second)]))
    return _relation(scene, first, relation, second, str(rng.choice(RELATION_PHRASES[relation])))


def _relation(scene: Scene, first: str, relation: str, second: str, phrase: str) -> Question:
    truth, one, two = scene.relation_holds(first, relation, second), scene.group(first), scene.group(second)
    be = _be(len(one))
    full = f"{_yes_no(truth)}, the {_named(one)} {be} {'' if truth else 'not '}{phrase} the {_named(two)}."
    text = f"{be} the {_named(one)} {phrase} the {_named(two)} ?"
    entailed = (_exists(first, True), _exists(second, True))
    return Question(
        text, _yes_no(truth), "yes/no", "verify", "rel", "relVerify", full, ("rel", first, second), entailed
    )


def ask_what_is(scene: Scene, rng: np.random.Generator) -> Question | None:
    """``what is to the left of the dog ?``, where nothing of any other group is."""
    related = relations_of(scene)
    rng.shuffle(related)
    for first, relation, second in related:
        others = [item for item in scene.items if item.noun not in (first, second)]
        if not any(_stands(scene, item, relation, second) for item in others):
            phrase, two = str(rng.choice(RELATION_PHRASES[relation])), scene.group(second)
            full = f"the {_named(scene.group(first))} {_be(len(scene.group(first)))} {phrase} the {_named(two)}."
            text = f"what is {phrase} the {_named(two)} ?"
            entailed = (_relation(scene, first, relation, second, phrase),)
            return Question(text, first, "other", "query", "rel", "relO", full, ("rel", first, second), entailed)
    return None


def _stands(scene: Scene, item: Item, relation: str, noun: str) -> bool:
    """Whether a single item bears a relation to all items of a noun."""
    alone = Scene(scene.setting, scene.variant, (item, *scene.group(noun)))
    return alone.relation_holds(item.noun, relation, noun)


def ask_both(scene: Scene, rng: np.random.Generator) -> Question:
    """``are there a dog and a car ?``"""
    present = [group[0].noun for group in scene.groups]
    absent = [name for name in THINGS if name not in present]
    first = str(rng.choice(present))
    second = str(rng.choice([n for n in present if n != first] if len(present) > 1 and rng.random() < 0.5 else absent))
    truth = second in present
    pair = [article(first), article(second)]
    one, two = (pair[int(i)] for i in rng.permutation(2))
    full = f"{_yes_no(truth)}, there {'are' if truth else 'is no ' + second}{' both' if truth else ''}."
    entailed = (_exists(first, True), _exists(second, True)) if truth else (_exists(second, False),)
    text = f"are there both {one} and {two} ?"
    return Question(
        text, _yes_no(truth), "yes/no", "logical", "obj", "existAnd", full, ("obj", first, second), entailed
    )


ASKERS: tuple[Asker, ...] = (
    ask_exists, ask_setting, ask_is_setting, ask_colour, ask_is_colour, ask_choose_colour, ask_how_many, ask_are_there,
    ask_action, ask_is_doing, ask_relation, ask_what_is, ask_both,
)  # fmt: skip
"""Every kind of question."""


def make_questions(scene: Scene, *key: int | str, count: int = 8) -> list[Question]:
    """``count`` different questions about a scene, a pure function of ``key``; the kinds take turns in random order."""
    rng = numpy_generator("questions", *key)
    found: dict[str, Question] = {}
    while len(found) < count:
        for asker in rng.permutation(len(ASKERS)):
            question = ASKERS[int(asker)](scene, rng)
            if question is not None and len(found) < count:
                found.setdefault(question.text, question)
    return list(found.values())


def annotate(question: Question, rng: np.random.Generator) -> tuple[str, ...]:
    """Ten annotators' answers: all agree on four questions in five, else one to three of them err."""
    wrong = {"yes/no": ["yes", "no"], "number": ["1", "2", "3", "4"], "other": _like(question)}[question.answer_type]
    wrong = [answer for answer in wrong if answer != question.answer]
    errors = int(rng.integers(1, 4)) if rng.random() < 0.2 and wrong else 0
    answers = [question.answer] * (10 - errors) + [str(rng.choice(wrong)) for _ in range(errors)]
    return tuple(answers[int(i)] for i in rng.permutation(10))


def _like(question: Question) -> list[str]:
    """Answers of the same sort as the true one."""
    for sort in (list(COLOURS), list(SETTINGS), list(ACTIONS), list(THINGS)):
        if question.answer in sort:
            return sort
    return []
