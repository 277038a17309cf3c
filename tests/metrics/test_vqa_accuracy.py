"""VQA accuracy: the official formula, its normalisation and its strictness; the soft training targets."""

import pytest

from xlxmert.core.errors import UsageError
from xlxmert.metrics.vqa import Question, normalise, soft_scores, vqa_accuracy, vqa_scores


@pytest.mark.parametrize(("same", "accuracy"), [(0, 0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1), (7, 1)])
def test_accuracy_leaves_each_person_out_in_turn(same, accuracy):
    people = ["red"] * same + [f"colour{place}" for place in range(10 - same)]
    assert vqa_accuracy("red", people) == pytest.approx(accuracy)


def test_answers_are_normalised_only_where_people_disagree_unless_asked():
    assert vqa_accuracy("Yes", ["yes"] * 10) == 0
    assert vqa_accuracy("Yes", ["yes"] * 10, strict=False) == 1
    assert vqa_accuracy("Yes", ["yes"] * 9 + ["no"]) == 1


def test_the_only_answer_is_right_and_any_other_is_wrong():
    assert (vqa_accuracy("red", ["red"]), vqa_accuracy("blue", ["red"])) == (1, 0)
    assert (vqa_accuracy("Red!", ["red"]), vqa_accuracy("Red!", ["red"], strict=False)) == (0, 1)


@pytest.mark.parametrize(
    ("answer", "normal"),
    [
        ("The Two dogs.", "2 dogs"),
        ("t-shirt", "t shirt"),
        ("black/white", "black white"),
        ("black / white", "black white"),
        ("1,000", "1000"),
        ("none", "0"),
        ("dont", "don't"),
        ("hadnt've", "hadn't've"),
        ("she's", "she's"),
        ("2.5 ft.", "2.5 ft"),
        ("yes\n", "yes"),
        ("a an the", ""),
    ],
)
def test_the_normal_form_is_the_official_one(answer, normal):
    assert normalise(answer) == normal


def test_people_are_normalised_too():
    assert vqa_accuracy("2", ["two"] * 5 + ["2 "] * 4 + ["three"]) == 1


def test_soft_scores_equal_the_accuracy_of_each_answer():
    people = ["red"] * 5 + ["Blue"] * 3 + ["green"] * 2
    assert soft_scores(people) == {"red": 1.0, "blue": 0.9, "green": 0.6}
    for answer, score in soft_scores(people).items():
        assert vqa_accuracy(answer, people) == pytest.approx(score)


def test_scores_are_means_per_type():
    questions = {
        1: Question(("yes",) * 10, "yes/no", "is the"),
        2: Question(("2",) * 10, "number", "how many"),
        3: Question(("no",) * 10, "yes/no", "is the"),
    }
    scores = vqa_scores({1: "yes", 2: "3", 3: "no"}, questions)
    assert scores == pytest.approx({"overall": 200 / 3, "yes/no": 100, "is the": 100, "number": 0, "how many": 0})


def test_a_missing_prediction_is_an_error():
    with pytest.raises(UsageError, match="missing 1"):
        vqa_scores({1: "yes"}, {1: Question(("yes",) * 10), 2: Question(("no",) * 10)})
    with pytest.raises(UsageError, match="found none"):
        vqa_accuracy("yes", [])
