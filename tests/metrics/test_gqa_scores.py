"""GQA's scores: by hand, against an independent count on the built-in world's questions, and their limits."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlxmert.core.errors import UsageError
from xlxmert.core.seeds import numpy_generator
from xlxmert.data.world.annotations import gqa_of
from xlxmert.data.world.scene import make_scene
from xlxmert.metrics.gqa import Question, answer_distribution, gqa_scores

RED = Question(
    "What color is the car?",
    "red",
    "query",
    "attr",
    "color",
    ("1", "2", "3"),
    "color",
    True,
    ("select: car", "query: color"),
)
"""Question 1: open, entails itself and two others."""
IS_RED = Question("Is the car red?", "yes", "verify", "attr", "colorVerify", (), None, False)
IS_BLUE = Question(
    "Is the car blue?", "no", "verify", "attr", "colorVerify", (), None, True, ("select: car", "verify color: blue")
)
NAME = Question(
    "What is the thing on the grass called?", "dog", "query", "rel", "relS", ("3",), "dog", True,
    ("select: grass", "relate: _,on,s", "query: name"),
)  # fmt: skip
QUESTIONS = {"1": RED, "2": IS_RED, "3": IS_BLUE, "4": NAME}
PREDICTIONS = {"1": "red", "2": "no", "3": "no", "4": "Dog"}


def test_scores_by_hand():
    assert gqa_scores(PREDICTIONS, QUESTIONS, consistency=True) == pytest.approx(
        {
            "accuracy": 200 / 3,
            "binary": 100,
            "open": 50,
            "consistency": 50,  # of question 1 only: it was answered right and one of its two others too
            "distribution": 0.5 / 100,  # one group right: 0; one group of one with the answer never given: 1
            "semantic/attr": 100,
            "semantic/rel": 0,
            "steps/2": 200 / 3,  # `query: name` is not counted, `query: color` is
            "structural/query": 50,
            "structural/verify": 100,
            "words/4": 100,
            "words/5": 100,
            "words/8": 0,
        }
    )


def test_headlines_come_first_and_numbers_go_by_size():
    long = {str(words): replace(IS_BLUE, text="word " * words) for words in (11, 2, 9)}
    names = list(gqa_scores(dict.fromkeys(long, "no"), long))
    assert names == [
        "accuracy",
        "binary",
        "semantic/attr",
        "steps/2",
        "structural/verify",
        "words/2",
        "words/9",
        "words/11",
    ]


def test_consistency_counts_questions_that_were_answered_right_and_entail_others():
    wrong = gqa_scores(PREDICTIONS | {"1": "blue", "4": "dog"}, QUESTIONS, consistency=True)
    assert wrong["consistency"] == 100  # question 4 alone, whose other is right
    assert "consistency" not in gqa_scores(PREDICTIONS | {"1": "blue"}, QUESTIONS, consistency=True)
    assert "consistency" not in gqa_scores(PREDICTIONS, QUESTIONS)


def test_an_entailed_question_counts_for_itself_only_where_it_is_balanced():
    assert gqa_scores(PREDICTIONS, QUESTIONS) == gqa_scores(PREDICTIONS | {"2": "yes"}, QUESTIONS)


def test_without_consistency_unbalanced_questions_need_no_predictions():
    balanced = {name: answer for name, answer in PREDICTIONS.items() if name != "2"}
    assert gqa_scores(balanced, QUESTIONS) == gqa_scores(PREDICTIONS, QUESTIONS)
    with pytest.raises(UsageError, match=r"prediction for each of 4 questions, missing 1 \(2 …\)"):
        gqa_scores(balanced, QUESTIONS, consistency=True)


def test_validity_and_plausibility_look_into_the_choices_of_each_question():
    choices = {
        "1": {"valid": ["red", "blue"], "plausible": ["blue"]},
        "3": {"valid": ["yes", "no"], "plausible": ["yes", "no"]},
        "4": {"valid": ["dog"], "plausible": ["dog"]},
    }
    scores = gqa_scores(PREDICTIONS, QUESTIONS, choices)
    assert scores["validity"] == pytest.approx(200 / 3)
    assert scores["plausibility"] == pytest.approx(100 / 3)
    assert gqa_scores(PREDICTIONS, QUESTIONS).keys() == scores.keys() - {"validity", "plausibility"}


@pytest.mark.parametrize(("prediction", "share"), [("color", 100), ("shape", 100), ("material", 100), ("size", 0)])
def test_what_things_have_in_common_is_their_color_material_or_shape(prediction, share):
    question = {"1": Question("What do both have in common?", "color", "compare", "attr", "twoCommon")}
    scores = gqa_scores({"1": prediction}, question, {"1": {"valid": ["size"], "plausible": []}})
    assert scores["validity"] == scores["plausibility"] == share


def test_unknown_types_programs_and_groups_are_not_counted_by():
    assert gqa_scores({"1": "a"}, {"1": Question("", "a")}) == {"accuracy": 100}


@pytest.mark.parametrize(
    ("steps", "program"),
    [
        (1, ("select: dog", "exist: ?")),
        (1, ("select: dog", "query: name")),
        (1, ("select: scene", "choose name: dog|cat")),
        (2, ("select: dog", "query: hposition")),
        (2, ("select: dog", "choose color: red|blue")),
        (3, ("select: dog", "exist: ?", "select: cat", "exist: ?", "or: ")),
    ],
)
def test_asking_for_existence_and_names_is_no_step_of_reasoning(steps, program):
    assert Question("Is it?", "yes", program=program).steps == steps


def test_the_distribution_weighs_groups_by_their_questions():
    groups = {"a": ("red", "red", "red", "blue"), "b": ("cat",)}
    said = {"a": ("red", "blue", "green", "green"), "b": ("cat",)}
    questions = {
        f"{g}{i}": Question("", answer, group=g) for g, each in groups.items() for i, answer in enumerate(each)
    }
    predictions = {f"{g}{i}": answer for g, each in said.items() for i, answer in enumerate(each)}
    # a: (1 - 3)^2 / 3 + (1 - 1)^2 / 1 = 4/3 and 4 questions, b: 0 and 1 question
    assert answer_distribution(predictions, questions) == pytest.approx((4 * 4 / 3 + 0) / 5 / 100)


answers = st.sampled_from(["red", "blue", "green"])


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.sampled_from([None, "", "a", "b"]), st.booleans(), answers, answers), min_size=1, max_size=30)
)
def test_the_distribution_is_the_weighted_chi_square_of_tables(rows):
    questions = {str(i): Question("", true, group=g, balanced=b) for i, (g, b, true, _) in enumerate(rows)}
    predictions = {str(i): said for i, (*_, said) in enumerate(rows)}
    values, weights = [], []
    for group in ("", "a", "b"):
        pairs = [(true, said) for g, balanced, true, said in rows if g == group and balanced]
        table = np.array([[true == word for true, _ in pairs] for word in ("red", "blue", "green")], float).sum(1)
        found = np.array([[said == word for _, said in pairs] for word in ("red", "blue", "green")], float).sum(1)
        if pairs:
            values.append(((found - table)[table > 0] ** 2 / table[table > 0]).sum())
            weights.append(len(pairs))
    if weights:
        expected = np.average(values, weights=weights) / 100
        assert answer_distribution(predictions, questions) == pytest.approx(expected)
    else:
        with pytest.raises(UsageError, match="global group"):
            answer_distribution(predictions, questions)


@pytest.fixture(scope="module")
def world():
    """Questions of the built-in world by id, with random predictions, about two in three of them right."""
    records = [each for i in range(40) for each in gqa_of(make_scene("val", 0, i), "val", 0, i)]
    questions = {
        str(each.question_id): Question(
            each.text,
            each.raw_answers[0],
            each.structural_type,
            each.semantic_type,
            each.detailed_type,
            each.entailed,
            each.group,
            each.is_balanced,
        )
        for each in records
    }
    rng = numpy_generator("predictions")
    pool = sorted({each.answer for each in questions.values()})
    right = dict(zip(questions, rng.random(len(questions)) < 0.6, strict=True))
    predictions = {name: each.answer if right[name] else str(rng.choice(pool)) for name, each in questions.items()}
    return questions, predictions


def test_scores_of_the_world_are_those_of_an_independent_count(world):
    questions, predictions = world
    by_kind = {kind: sorted({q.answer for q in questions.values() if q.detailed == kind}) for kind in
               {q.detailed for q in questions.values()}}  # fmt: skip
    choices = {
        name: {"valid": by_kind[q.detailed], "plausible": by_kind[q.detailed][:2]} for name, q in questions.items()
    }
    scores = gqa_scores(predictions, questions, choices, consistency=True)

    names = [name for name, each in questions.items() if each.balanced]
    right = np.array([predictions[name] == questions[name].answer for name in names])
    assert 0 < len(names) < len(questions) and 0.5 < right.mean() < 0.8
    assert scores["accuracy"] == pytest.approx(100 * right.mean())
    for score, of in (
        ("open", [questions[name].structural == "query" for name in names]),
        ("binary", [questions[name].structural != "query" for name in names]),
        ("structural/logical", [questions[name].structural == "logical" for name in names]),
        ("semantic/global", [questions[name].semantic == "global" for name in names]),
        ("words/6", [questions[name].text.count(" ") == 5 for name in names]),
    ):
        assert scores[score] == pytest.approx(100 * right[np.array(of)].mean())
    assert scores["validity"] == pytest.approx(
        100 * np.mean([predictions[name] in by_kind[questions[name].detailed] for name in names])
    )
    assert scores["plausibility"] == pytest.approx(
        100 * np.mean([predictions[name] in by_kind[questions[name].detailed][:2] for name in names])
    )
    entailing = [name for name, hit in zip(names, right, strict=True) if hit and questions[name].entailed]
    shares = [np.mean([predictions[o] == questions[o].answer for o in questions[name].entailed]) for name in entailing]
    assert len(shares) > 20
    assert scores["consistency"] == pytest.approx(100 * np.mean(shares))
    assert not any(name.startswith("steps/") for name in scores)  # the world's questions have no programs


def test_true_answers_score_full_marks_and_no_distance(world):
    questions, _ = world
    scores = gqa_scores({name: each.answer for name, each in questions.items()}, questions, consistency=True)
    assert scores.pop("distribution") == 0
    assert set(scores.values()) == {100}


def test_accuracy_is_the_mean_of_its_parts(world):
    questions, predictions = world
    scores = gqa_scores(predictions, questions)
    balanced = [each for each in questions.values() if each.balanced]
    for kind in ("structural", "semantic", "words"):
        counts = Counter(str(getattr(each, kind)) for each in balanced)
        mean = sum(scores[f"{kind}/{value}"] * count for value, count in counts.items()) / len(balanced)
        assert scores["accuracy"] == pytest.approx(mean)


def test_the_order_of_questions_does_not_matter(world):
    questions, predictions = world
    backwards = dict(reversed(questions.items()))
    forth, back = (gqa_scores(predictions, each, consistency=True) for each in (questions, backwards))
    assert list(forth) == list(back) and forth == pytest.approx(back)


def test_what_is_missing_is_named():
    with pytest.raises(UsageError, match=r"missing 1 \(4 …\): answer the whole split"):
        gqa_scores({"1": "red", "3": "no"}, QUESTIONS)
    with pytest.raises(
        UsageError, match=r"the entailed questions, missing 1 \(2 …\): add them .*leave consistency out"
    ):
        gqa_scores(PREDICTIONS, {"1": RED, "3": IS_BLUE}, consistency=True)
    with pytest.raises(UsageError, match=r"choices for each balanced question, missing 2 \(3, 4 …\): pass the choices"):
        gqa_scores(PREDICTIONS, QUESTIONS, {"1": {"valid": [], "plausible": []}, "3": {"valid": []}})
    with pytest.raises(UsageError, match="found none among 1"):
        gqa_scores(PREDICTIONS, {"2": IS_RED})
    with pytest.raises(UsageError, match="question '1', found none"):
        answer_distribution({}, {"1": RED})
