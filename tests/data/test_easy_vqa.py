"""easy-VQA's questions: its real form, the ways in which it can be broken, and the store that `prepare` makes of it."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from xlxmert.core.errors import XlxmertError
from xlxmert.data.easy_vqa import question_type, read_easy_vqa, write_easy_vqa

ROWS: list[Any] = [  # as in the package's own files
    ["what is the blue shape?", "rectangle", 0],
    ["what color is the shape?", "blue", 0],
    ["is there not a triangle in the image?", "yes", 0],
    ["is no black shape present?", "no", 1],
]
ANSWERS = "circle\ngreen\nblue\nyes\nrectangle\ntriangle\nno\n"


@pytest.fixture
def split(tmp_path: Path) -> Path:
    """The folder of one split, with the list of answers above it."""
    folder = tmp_path / "data/train"
    folder.mkdir(parents=True)
    (folder / "questions.json").write_text(json.dumps(ROWS), encoding="utf-8")
    (folder.parent / "answers.txt").write_text(ANSWERS, encoding="utf-8")
    return folder


def test_questions_are_read_in_order(split: Path) -> None:
    """Each has its picture's number, one answer of full weight, and VQA's type of answer."""
    records = read_easy_vqa(split)
    assert records == read_easy_vqa(split / "questions.json", {0, 1})
    assert [(each.text, each.raw_answers, each.picture_id) for each in records] == [(r[0], (r[1],), r[2]) for r in ROWS]
    assert [each.question_id for each in records] == [0, 1, 2, 3]
    assert [each.answer_type for each in records] == ["other", "other", "yes/no", "yes/no"]
    assert records[1].answers == {"blue": 1.0}


@pytest.mark.parametrize(
    ("text", "answer", "kind"),
    [
        ("what is the color of the circle?", "red", "color"),
        ("what shape does the image contain?", "circle", "shape"),
        ("what is the teal shape?", "triangle", "shape"),
        ("is a red shape present?", "yes", "has color"),
        ("does the image contain a circle?", "no", "has shape"),
        ("does the image not contain a gray shape?", "no", "lacks color"),
        ("is no rectangle present?", "yes", "lacks shape"),
    ],
)
def test_what_is_asked(text: str, answer: str, kind: str) -> None:
    """Every form of question in the published files is of one kind."""
    assert question_type(text, answer) == kind


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"questions": ROWS}, "expected a list of questions at the top of .*questions.json, found an object"),
        ([["what color is the shape?", "blue"]], r"found a list of 2"),
        ([ROWS[0], "is there a circle?"], r"expected a list \[question, answer, number of the picture\] in \[1\]"),
        ([[7, "blue", 0]], r'expected a string as "question" in \[0\] of .*, found 7'),
        ([["what color is the shape?", None, 0]], r'a string as "answer" in \[0\]'),
        ([["what color is the shape?", "blue", "0"]], r"a whole number of at least 0 as \"image\" in \[0\]"),
        ([["what color is the shape?", "blue", True]], r"a whole number of at least 0 as \"image\""),
        ([["what color is the shape?", "blue", -1]], "a whole number of at least 0"),
        ([["what color is the shape?", "blue", 9]], r"the id of a known picture in \[0\].*found 9"),
        ([["what color is the shape?", "mauve", 0]], r"one of the 7 answers of .*answers.txt in \[0\].*found 'mauve'"),
    ],
)
def test_broken_files(split: Path, content: Any, message: str) -> None:
    """One line says what is wrong and where."""
    (split / "questions.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(XlxmertError, match=message):
        read_easy_vqa(split, {0, 1})


def test_what_is_written_is_read_again(split: Path) -> None:
    """Questions of one answer each make the very file; others are refused."""
    records = read_easy_vqa(split)
    write_easy_vqa(split / "again/questions.json", records)
    assert json.loads((split / "again/questions.json").read_text(encoding="utf-8")) == ROWS
    with pytest.raises(XlxmertError, match="expected one answer to question 0, found 2"):
        write_easy_vqa(split / "again/questions.json", [dataclasses.replace(records[0], raw_answers=("a", "b"))])


def test_cut_or_missing_files(split: Path) -> None:
    """JSON that ends early, answers that are no text, and no file at all."""
    questions = split / "questions.json"
    questions.write_text(questions.read_text(encoding="utf-8")[:60], encoding="utf-8")
    with pytest.raises(XlxmertError, match=r"questions\.json"):
        read_easy_vqa(split)
    questions.unlink()
    with pytest.raises(XlxmertError, match=r"questions\.json"):
        read_easy_vqa(split)
    questions.write_text(json.dumps(ROWS), encoding="utf-8")
    (split.parent / "answers.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(XlxmertError, match=r"an answer on each line of .*answers\.txt"):
        read_easy_vqa(split)


def test_without_a_list_of_answers(split: Path) -> None:
    """A file on its own is read, whatever its answers."""
    (split.parent / "answers.txt").unlink()
    assert len(read_easy_vqa(split)) == 4
