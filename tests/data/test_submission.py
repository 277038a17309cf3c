"""Result files of VQA v2, GQA and NLVR2: the servers' formats byte for byte, read back, checked and scored."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlxmert.core.errors import XlxmertError
from xlxmert.data.submission import (
    read_gqa_submission,
    read_nlvr2_submission,
    read_vqa_submission,
    write_gqa_submission,
    write_nlvr2_submission,
    write_vqa_submission,
)
from xlxmert.data.world.annotations import gqa_of, vqa_of
from xlxmert.data.world.scene import make_scene
from xlxmert.data.world.statements import make_pair_set
from xlxmert.metrics.nlvr2 import nlvr2_scores
from xlxmert.metrics.vqa import Question, vqa_scores


def put(folder: Path, content: str) -> Path:
    path = folder / "results"
    path.write_text(content)
    return path


def test_the_files_are_what_the_servers_take(tmp_path: Path) -> None:
    write_vqa_submission(tmp_path / "vqa.json", {262148000: "Yes", 262148001: "2"})
    write_gqa_submission(tmp_path / "gqa.json", {"02930152": "yes", "07333408": "traffic light"})
    write_nlvr2_submission(tmp_path / "nlvr2.csv", {"test1-0-0-0": True, "test1-0-1-0": False})
    assert json.loads((tmp_path / "vqa.json").read_text()) == [
        {"question_id": 262148000, "answer": "yes"},
        {"question_id": 262148001, "answer": "2"},
    ]
    assert json.loads((tmp_path / "gqa.json").read_text()) == [
        {"questionId": "02930152", "prediction": "yes"},
        {"questionId": "07333408", "prediction": "traffic light"},
    ]
    assert (tmp_path / "nlvr2.csv").read_bytes() == b"test1-0-0-0,True\ntest1-0-1-0,False\n"
    assert len(list(tmp_path.iterdir())) == 3


def test_answers_in_capitals_are_not_lost_where_ten_people_agree(tmp_path: Path) -> None:
    questions = {1: Question(("yes",) * 10, "yes/no")}
    write_vqa_submission(tmp_path / "vqa.json", {1: "Yes"}, asked=questions)
    assert vqa_scores({1: "Yes"}, questions)["overall"] == 0
    assert vqa_scores(read_vqa_submission(tmp_path / "vqa.json"), questions)["overall"] == 100


def test_true_answers_to_the_world_are_read_again_and_score_full_marks(tmp_path: Path) -> None:
    asked = {int(each.question_id): each for i in range(5) for each in vqa_of(make_scene("val", 0, i), "val", 0, i)}
    best = {number: max(each.answers, key=lambda answer: each.answers[answer]) for number, each in asked.items()}
    write_vqa_submission(tmp_path / "vqa.json", best, asked)
    assert read_vqa_submission(tmp_path / "vqa.json", asked) == best
    people = {number: Question(each.raw_answers, each.answer_type) for number, each in asked.items()}
    assert vqa_scores(read_vqa_submission(tmp_path / "vqa.json"), people)["overall"] > 95

    reasoned = [each for i in range(5) for each in gqa_of(make_scene("val", 0, i), "val", 0, i)]
    answers = {str(each.question_id): each.raw_answers[0] for each in reasoned}
    write_gqa_submission(tmp_path / "gqa.json", answers)
    assert read_gqa_submission(tmp_path / "gqa.json", answers.keys()) == answers

    labels = {each.identifier: each.label for i in range(3) for each in make_pair_set("val", 0, i).records()}
    write_nlvr2_submission(tmp_path / "nlvr2.csv", labels)
    judged = read_nlvr2_submission(tmp_path / "nlvr2.csv", labels)
    assert judged == labels
    assert nlvr2_scores(judged, labels) == {"accuracy": 100, "consistency": 100}


@settings(max_examples=12)  # each waits for the disk twice
@given(st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=12), st.text(st.characters(codec="utf-8"))))
def test_any_text_is_read_as_written(tmp_path_factory: pytest.TempPathFactory, answers: dict[str, str]) -> None:
    path = tmp_path_factory.mktemp("gqa") / "gqa.json"
    if answers:
        write_gqa_submission(path, answers)
        assert read_gqa_submission(path) == answers
        numbered = dict(enumerate(answers.values()))
        write_vqa_submission(path, numbered)
        assert read_vqa_submission(path) == {number: answer.lower() for number, answer in numbered.items()}


def test_lines_as_others_write_them_are_understood(tmp_path: Path) -> None:
    path = put(tmp_path, "test1-0-0-0,true\r\n\n test1-0-1-0 , FALSE \n")
    assert read_nlvr2_submission(path) == {"test1-0-0-0": True, "test1-0-1-0": False}


VQA = '{"question_id": 1, "answer": "yes"}'
GQA = '{"questionId": "1", "prediction": "yes"}'


@pytest.mark.parametrize(
    ("read", "content", "message"),
    [
        (read_vqa_submission, f"[{VQA}, {VQA}]", r"new question id in \[1\] of .*results, found 1 once more"),
        (read_vqa_submission, '[{"question_id": "1", "answer": "yes"}]', r'whole number as "question_id" in \[0\]'),
        (read_vqa_submission, f'[{VQA}, {{"question_id": 2}}]', r'expected "answer" in \[1\]'),
        (read_vqa_submission, '[{"question_id": 2, "answer": 3}]', r'string as "answer" in \[0\].*found 3'),
        (read_vqa_submission, VQA, "expected a list at the top of"),
        (read_vqa_submission, f"[{VQA}", "cut short"),
        (read_vqa_submission, "[]", "expected answers for .*found none"),
        (read_gqa_submission, f"[{GQA}, {GQA}]", r"new question id in \[1\]"),
        (read_gqa_submission, '[{"questionId": 1, "prediction": "yes"}]', 'string as "questionId"'),
        (read_gqa_submission, f"[{VQA}]", 'expected "questionId"'),
        (read_nlvr2_submission, "test1-0-0-0,True\ntest1-0-0-0,True", "new identifier in line 2 of"),
        (
            read_nlvr2_submission,
            "identifier,prediction\n",
            r"identifier,True or identifier,False in line 1 .*'identifier,",
        ),
        (read_nlvr2_submission, "test1-0-0-0,True,0.9", "identifier,True or identifier,False in line 1"),
        (read_nlvr2_submission, "test1-0-0-0", "identifier,True or identifier,False"),
        (read_nlvr2_submission, "\n\ntest1-0-0,True", "split-set-pair-sentence .* in line 3 .*found 'test1-0-0'"),
        (read_nlvr2_submission, "\n", "found none"),
    ],
)
def test_damaged_files_are_one_clear_line(
    tmp_path: Path, read: Callable[[Path], object], content: str, message: str
) -> None:
    with pytest.raises(XlxmertError, match=message) as caught:
        read(put(tmp_path, content))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("read", [read_vqa_submission, read_gqa_submission, read_nlvr2_submission])
def test_missing_and_foreign_files_are_errors(tmp_path: Path, read: Callable[[Path], object]) -> None:
    with pytest.raises(XlxmertError, match="found nothing"):
        read(tmp_path / "none")
    (tmp_path / "picture").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(XlxmertError, match=r"could not read|found other bytes"):
        read(tmp_path / "picture")


def test_answers_must_be_to_the_questions_that_were_asked(tmp_path: Path) -> None:
    path = tmp_path / "vqa.json"
    with pytest.raises(
        XlxmertError, match=r"each of the 5 asked for .*missing 4 \(1, 3, 4 …\): answer the whole split"
    ):
        write_vqa_submission(path, {2: "no"}, asked=[5, 4, 3, 2, 1])
    with pytest.raises(XlxmertError, match=r"the 1 asked only for .*found 1 more \(9\): they belong to another split"):
        write_vqa_submission(path, {2: "no", 9: "no"}, asked=[2])
    with pytest.raises(XlxmertError, match="found none"):
        write_gqa_submission(path, {})
    with pytest.raises(XlxmertError, match="missing 1"):
        write_nlvr2_submission(path, {"dev-1-0-0": True}, asked=["dev-1-0-0", "dev-1-1-0"])
    with pytest.raises(XlxmertError, match=r"identifier split-set-pair-sentence .*found 'dev-1,True'"):
        write_nlvr2_submission(path, {"dev-1,True": True})
    assert not list(tmp_path.iterdir())
    write_vqa_submission(path, {2: "no"})
    with pytest.raises(XlxmertError, match="missing 1"):
        read_vqa_submission(path, asked=[1, 2])
    assert read_vqa_submission(path, asked=[2]) == {2: "no"}


def test_a_failed_write_leaves_the_earlier_file(tmp_path: Path) -> None:
    write_nlvr2_submission(path := tmp_path / "nlvr2.csv", {"dev-1-0-0": True})
    with pytest.raises(XlxmertError):
        write_nlvr2_submission(path, {"dev-1-0-0": False, "dev": True})
    assert read_nlvr2_submission(path) == {"dev-1-0-0": True}
    (tmp_path / "folder").mkdir()
    with pytest.raises(XlxmertError, match="could not write"):
        write_vqa_submission(tmp_path / "folder", {1: "yes"})
    assert sorted(each.name for each in tmp_path.iterdir()) == ["folder", "nlvr2.csv"]
