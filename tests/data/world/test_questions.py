"""Questions: every answer is checked against the scene by reading the question's words afresh."""

import functools
import re
from collections import Counter

import numpy as np

from xlxmert.data.world.captions import RELATION_PHRASES
from xlxmert.data.world.lexicon import ACTIONS, COLOURS, NUMBERS, PLURALS, SETTINGS, THINGS
from xlxmert.data.world.questions import ASKERS, Question, annotate, make_questions
from xlxmert.data.world.scene import Scene, make_scene

KEYS = [("heldout" if index % 20 == 0 else "test", index) for index in range(200)]

SINGULAR = {word: noun for noun in THINGS for word in (noun, PLURALS[noun])}
HOW = {phrase: relation for relation, phrases in RELATION_PHRASES.items() for phrase in phrases}
WHERE = {phrase: setting for setting, phrases in SETTINGS.items() for phrase in phrases}


def any_of(words: object) -> str:
    return "(" + "|".join(sorted(map(re.escape, words), key=len, reverse=True)) + ")"  # type: ignore[call-overload]


@functools.cache
def asked() -> list[tuple[Scene, list[Question]]]:
    scenes = [make_scene(split, 2, index) for split, index in KEYS]
    return [(scene, make_questions(scene, split, 2, index)) for scene, (split, index) in zip(scenes, KEYS, strict=True)]


def every_question() -> list[tuple[Scene, Question]]:
    return [(scene, question) for scene, questions in asked() for question in questions]


NOUN, COLOUR, ACTION, RELATION, PLACE = map(any_of, (SINGULAR, COLOURS, ACTIONS, HOW, WHERE))
NUMBER = any_of(("zero", *NUMBERS[1:]))


def yes_no(truth: bool) -> str:
    return "yes" if truth else "no"


def expected(scene: Scene, text: str) -> str:
    """The answer, from the words of the question and the items of the scene alone."""

    def read(pattern: str) -> tuple[str, ...] | None:
        match = re.fullmatch(pattern, text)
        return match.groups() if match else None

    def items(word: str) -> list[object]:
        return [item for item in scene.items if item.noun == SINGULAR[word]]

    first = {item.noun: item for item in scene.items}
    if found := read(f"is there an? {NOUN} \\?"):
        return yes_no(bool(items(found[0])))
    if text in ("where is this ?", "what place is shown ?", "where was this picture taken ?"):
        return scene.setting
    if found := read(f"is this {PLACE} \\?"):
        return yes_no(WHERE[found[0]] == scene.setting)
    if found := read(f"what color (?:is|are) the {NOUN} \\?"):
        return first[SINGULAR[found[0]]].colour
    if found := read(f"(?:is|are) the {NOUN} {COLOUR} \\?"):
        return yes_no(first[SINGULAR[found[0]]].colour == found[1])
    if found := read(f"(?:is|are) the {NOUN} {COLOUR} or {COLOUR} \\?"):
        colour = first[SINGULAR[found[0]]].colour
        assert (colour == found[1]) != (colour == found[2])
        return colour
    if found := read(f"how many {NOUN} are there \\?"):
        return str(len(items(found[0])))
    if found := read(f"are there {NUMBER} {NOUN} \\?"):
        return yes_no(len(items(found[1])) == ("zero", *NUMBERS[1:]).index(found[0]))
    if found := read(f"what (?:is|are) the {NOUN} doing \\?"):
        return first[SINGULAR[found[0]]].action
    if found := read(f"(?:is|are) the {NOUN} {ACTION} \\?"):
        return yes_no(first[SINGULAR[found[0]]].action == found[1])
    if found := read(f"(?:is|are) the {NOUN} {RELATION} the {NOUN} \\?"):
        return yes_no(scene.relation_holds(SINGULAR[found[0]], HOW[found[1]], SINGULAR[found[2]]))
    if found := read(f"what is {RELATION} the {NOUN} \\?"):
        there = [noun for noun in first if scene.relation_holds(noun, HOW[found[0]], SINGULAR[found[1]])]
        assert len(there) == 1
        return there[0]
    if found := read(f"are there both an? {NOUN} and an? {NOUN} \\?"):
        return yes_no(bool(items(found[0]) and items(found[1])))
    raise AssertionError(f"a question of no known form: {text}")


def test_every_answer_is_right() -> None:
    wrong = [
        (question.text, question.answer)
        for scene, question in every_question()
        if question.answer != expected(scene, question.text)
    ]
    assert not wrong


def test_entailed_questions_have_the_answers_that_the_scene_gives() -> None:
    entailed = [(scene, follower) for scene, question in every_question() for follower in question.entailed]
    assert len(entailed) > 200
    wrong = [
        (follower.text, follower.answer)
        for scene, follower in entailed
        if follower.answer != expected(scene, follower.text)
    ]
    assert not wrong


def test_questions_of_a_picture_differ_and_are_the_same_every_time() -> None:
    for place, ((split, index), (scene, questions)) in enumerate(zip(KEYS, asked(), strict=True)):
        assert len({question.text for question in questions}) == len(questions) == 8
        assert place % 10 or questions == make_questions(scene, split, 2, index)


def test_every_kind_is_asked_and_yes_is_as_common_as_no() -> None:
    kinds = Counter(question.detailed for _, question in every_question())
    assert len(kinds) == len(ASKERS)
    assert min(kinds.values()) > 10
    answers = Counter(question.answer for _, question in every_question() if question.answer_type == "yes/no")
    assert set(answers) == {"yes", "no"}
    assert 0.4 < answers["yes"] / answers.total() < 0.6


def test_answer_types_are_what_the_answers_are() -> None:
    for _, question in every_question():
        sort = "yes/no" if question.answer in ("yes", "no") else "number" if question.answer.isdigit() else "other"
        assert question.answer_type == sort


def test_ten_annotators_answer_and_at_least_seven_are_right() -> None:
    rng = np.random.default_rng(0)
    sheets = [(question, annotate(question, rng)) for _, question in every_question()]
    assert all(len(answers) == 10 and answers.count(question.answer) >= 7 for question, answers in sheets)
    agreed = sum(len(set(answers)) == 1 for _, answers in sheets) / len(sheets)
    assert 0.75 < agreed < 0.9
