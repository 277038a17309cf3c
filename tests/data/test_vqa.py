"""VQA v2: what is written is read again, and the two published files are understood together."""

import json
from pathlib import Path
from typing import Any

import pytest

from xlxmert.core.errors import XlxmertError
from xlxmert.data.records import QuestionRecord
from xlxmert.data.vqa import read_vqa, soft_scores, write_vqa

INFO = """{
"description": "VQA v2.0.", "url": "http://visualqa.org", "version": "2.0", "year": 2017,
"contributor": "VQA Team", "date_created": "2017-04-26 17:07:13"},
"license": {"url": "http://creativecommons.org/licenses/by/4.0/", 
"name": "CC BY 4.0"}"""
QUESTIONS = f"""{{"info": {INFO}, "task_type": "Open-Ended", "data_type": "mscoco", "data_subtype": "train2014",
"questions": [{{"image_id": 458752, "question": "What is behind the net?", "question_id": 458752000}}]}}"""
ANNOTATIONS = f"""{{"info": {INFO}, "data_subtype": "train2014", "data_type": "mscoco", "annotations": [
{{"question_type": "what is this", "multiple_choice_answer": "net", "answers": [
{{"answer": "net", "answer_confidence": "maybe", "answer_id": 1}},
{{"answer": "net", "answer_confidence": "yes", "answer_id": 2}},
{{"answer": "net", "answer_confidence": "yes", "answer_id": 3}},
{{"answer": "netting", "answer_confidence": "yes", "answer_id": 4}},
{{"answer": "net", "answer_confidence": "yes", "answer_id": 5}},
{{"answer": "net", "answer_confidence": "yes", "answer_id": 6}},
{{"answer": "mesh", "answer_confidence": "maybe", "answer_id": 7}},
{{"answer": "net", "answer_confidence": "yes", "answer_id": 8}},
{{"answer": "net", "answer_confidence": "yes", "answer_id": 9}},
{{"answer": "net", "answer_confidence": "yes", "answer_id": 10}}],
"image_id": 458752, "answer_type": "other", "question_id": 458752000}}]}}"""


def put(folder: Path, name: str, content: object) -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_the_published_files_are_read_with_ten_answers_and_soft_scores(tmp_path: Path) -> None:
    questions, annotations = put(tmp_path, "q", QUESTIONS), put(tmp_path, "a", ANNOTATIONS)
    (record,) = read_vqa(questions, annotations, pictures={458752})
    assert (record.picture_id, record.question_id) == (458752, 458752000)
    assert record.text == "What is behind the net?"
    assert record.raw_answers == ("net",) * 3 + ("netting", "net", "net", "mesh", "net", "net", "net")
    assert record.answers == {"net": 1.0, "netting": 0.3, "mesh": 0.3}
    assert (record.question_type, record.answer_type) == ("what is this", "other")
    assert record.confidences[0] == record.confidences[6] == "maybe"


def test_a_test_set_has_questions_without_answers(tmp_path: Path) -> None:
    (record,) = read_vqa(put(tmp_path, "q", QUESTIONS))
    assert record.answers == {} and record.raw_answers == ()
    write_vqa(tmp_path / "again", None, [record], "test2015")
    assert read_vqa(tmp_path / "again") == [record]


def test_scores_are_the_mean_over_ten_annotators_of_a_third_of_those_who_agree() -> None:
    for count in range(1, 11):
        answers = ["yes"] * count + [f"other {number}" for number in range(10 - count)]
        official = sum(min(1.0, (count - (answer == "yes")) / 3) for answer in answers) / 10
        assert soft_scores(answers)["yes"] == pytest.approx(official)


def test_written_questions_are_read_again_and_carry_the_published_members(tmp_path: Path) -> None:
    records = [
        QuestionRecord(
            number // 3,
            number,
            f"What is “{number}”?",
            soft_scores(answers := ["red"] * 7 + ["blue"] * 3),
            tuple(answers),
            "what is",
            "other",
            ("maybe",) * 10 if number % 2 else (),
        )
        for number in range(2500)
    ]
    write_vqa(tmp_path / "q", tmp_path / "a", iter(records), "train2014")
    assert read_vqa(tmp_path / "q", tmp_path / "a") == records
    for name, real in (("q", QUESTIONS), ("a", ANNOTATIONS)):
        ours, theirs = json.loads((tmp_path / name).read_text()), json.loads(real)
        assert (
            ours.keys() - {"task_type"} == theirs.keys() - {"task_type"}
            and ours["info"].keys() == theirs["info"].keys()
        )
        entries = "questions" if name == "q" else "annotations"
        assert ours[entries][0].keys() == theirs[entries][0].keys()
    first = ours["annotations"][0]
    assert first["multiple_choice_answer"] == "red"
    assert first["answers"][9] == {"answer": "blue", "answer_confidence": "yes", "answer_id": 10}


def annotations(**members: object) -> dict[str, object]:
    content: dict[str, Any] = json.loads(ANNOTATIONS)
    content["annotations"][0] |= members
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (annotations(question_id=7), r"id of a question in annotations\[0\].*found 7"),
        (annotations(image_id=7), "expected picture 458752 as in the questions"),
        (annotations(answers=[]), 'at least one of "answers"'),
        (annotations(answers=["net"]), r"object at annotations\[0\].answers\[0\]"),
        (annotations(answers=[{"answer_id": 1}]), r'"answer" in annotations\[0\].answers\[0\]'),
        ({"annotations": json.loads(ANNOTATIONS)["annotations"] * 2}, r"new question id in annotations\[1\]"),
        ({"annotations": []}, "an answer to every question"),
        ({"questions": []}, 'expected "annotations"'),
        (ANNOTATIONS[:300], "cut short"),
    ],
)
def test_answers_that_do_not_fit_the_questions_are_one_clear_line(
    tmp_path: Path, content: object, message: str
) -> None:
    with pytest.raises(XlxmertError, match=message) as caught:
        read_vqa(put(tmp_path, "q", QUESTIONS), put(tmp_path, "a", content))
    assert "\n" not in str(caught.value)


def test_unknown_pictures_and_repeated_questions_are_errors(tmp_path: Path) -> None:
    with pytest.raises(XlxmertError, match=r"known picture in questions\[0\].*found 458752: .*different sets"):
        read_vqa(put(tmp_path, "q", QUESTIONS), pictures={"458752"})
    twice = {"questions": json.loads(QUESTIONS)["questions"] * 2}
    with pytest.raises(XlxmertError, match=r"new question id in questions\[1\]"):
        read_vqa(put(tmp_path, "q", twice))
    with pytest.raises(XlxmertError, match="found nothing"):
        read_vqa(tmp_path / "none.json")


def test_an_annotated_question_needs_raw_answers(tmp_path: Path) -> None:
    with pytest.raises(XlxmertError, match="raw answers to question 5"):
        write_vqa(tmp_path / "q", tmp_path / "a", [QuestionRecord(1, 5, "Why?")], "val2014")
    assert not list(tmp_path.iterdir())
