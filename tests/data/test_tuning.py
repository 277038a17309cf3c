"""LXMERT's fine-tuning files: real-form entries read as they are, broken ones told in one line."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from xlxmert.core.errors import XlxmertError
from xlxmert.data.tuning import is_pairs, read_tuning, read_tuning_pairs

VQA: dict[str, Any] = {
    "answer_type": "other",
    "img_id": "COCO_train2014_000000458752",
    "label": {"net": 1, "fence": 0.3},
    "question_id": 458752000,
    "question_type": "what is this",
    "sent": "What is this photo taken looking through?",
}
GQA: dict[str, Any] = {
    "img_id": "2375429", "label": {"pipe": 1.0}, "question_id": "07333408", "sent": "What is on the white wall?",
}  # fmt: skip
NLVR2: dict[str, Any] = {
    "identifier": "train-10171-0-0",
    "img0": "train-10171-0-img0",
    "img1": "train-10171-0-img1",
    "label": 0,
    "sent": "An image shows one leather pencil case.",
    "uid": "nlvr2_train_0",
}


def put(path: Path, *entries: Any) -> Path:
    path.write_text(json.dumps(entries))
    return path


def test_questions_of_vqa_and_gqa_are_read(tmp_path: Path) -> None:
    path = put(tmp_path / "train.json", VQA, GQA, {**VQA, "question_id": 1, "label": {}})
    first, second, third = read_tuning(path, {VQA["img_id"], GQA["img_id"]})
    assert (first.picture_id, first.question_id, first.text) == (VQA["img_id"], 458752000, VQA["sent"])
    assert first.answers == {"net": 1.0, "fence": 0.3}
    assert (first.answer_type, first.question_type) == ("other", "what is this")
    assert (second.picture_id, second.question_id, second.answers) == ("2375429", "07333408", {"pipe": 1.0})
    assert third.answers == {} and not is_pairs(path)


def test_a_test_set_has_no_labels_and_a_file_may_be_packed(tmp_path: Path) -> None:
    asked = {name: value for name, value in VQA.items() if name in ("img_id", "question_id", "sent")}
    with gzip.open(tmp_path / "test.json.gz", "wt") as stream:
        json.dump([asked], stream)
    assert [question.answers for question in read_tuning(tmp_path / "test.json.gz")] == [{}]


def test_statements_are_read(tmp_path: Path) -> None:
    path = put(tmp_path / "valid.json", NLVR2, {**NLVR2, "identifier": "train-10171-0-1", "uid": "b", "label": True})
    assert is_pairs(path)
    first, second = read_tuning_pairs(path)
    assert (first.left_id, first.right_id) == ("train-10171-0-img0", "train-10171-0-img1")
    assert (first.identifier, first.sentence, first.label) == ("train-10171-0-0", NLVR2["sent"], False)
    assert second.label


def without(entry: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != name}


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([VQA, VQA], r"expected a new question id in \[1\] of .*train.json, found 458752000 once more"),
        ([{**VQA, "img_id": "elsewhere"}], "expected the id of a known picture .*found 'elsewhere'"),
        ([{**VQA, "img_id": 458752}], 'expected a string as "img_id" in .*found 458752'),
        ([{**VQA, "label": {"net": 1.5}}], r'a score above 0 and at most 1 as "net" in \[0\]\.label .*found 1.5'),
        ([{**VQA, "label": {"net": float("nan")}}], 'expected a finite number as "net"'),
        ([{**VQA, "label": ["net"]}], r"expected an object at \[0\]\.label .*found a list of 1"),
        ([{**VQA, "answer_type": "colour"}], 'expected one of yes/no, number, other as "answer_type"'),
        ([without(VQA, "sent")], 'expected "sent"'),
        ([without(VQA, "question_id")], 'expected "question_id"'),
        (["net"], r"expected an object at \[0\]"),
    ],
)
def test_broken_questions_are_one_line(tmp_path: Path, entries: list[Any], message: str) -> None:
    path = put(tmp_path / "train.json", *entries)
    with pytest.raises(XlxmertError, match=message) as caught:
        list(read_tuning(path, {VQA["img_id"]}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([NLVR2, {**NLVR2, "uid": "b"}], "a new identifier .*found 'train-10171-0-0' once more"),
        ([NLVR2, {**NLVR2, "identifier": "train-10171-0-1"}], "a new uid .*found 'nlvr2_train_0' once more"),
        ([{**NLVR2, "identifier": "10171"}], "an identifier split-set-pair-sentence such as .*found '10171'"),
        ([{**NLVR2, "label": "True"}], "true or false as \"label\" .*found 'True'"),
        ([without(NLVR2, "img1")], 'expected "img1"'),
        ([{**NLVR2, "img0": "other"}], "the id of a known picture .*found 'other'"),
    ],
)
def test_broken_statements_are_one_line(tmp_path: Path, entries: list[Any], message: str) -> None:
    path = put(tmp_path / "train.json", *entries)
    with pytest.raises(XlxmertError, match=message) as caught:
        list(read_tuning_pairs(path, {NLVR2["img0"], NLVR2["img1"]}))
    assert "\n" not in str(caught.value)


def test_cut_files_are_one_line(tmp_path: Path) -> None:
    text = json.dumps([VQA, GQA])
    (tmp_path / "cut.json").write_text(text[:-30])
    with pytest.raises(XlxmertError, match=r"expected JSON at \[1\] of .*found the end of the file"):
        list(read_tuning(tmp_path / "cut.json"))
    (tmp_path / "cut.json.gz").write_bytes(gzip.compress(text.encode())[:-12])
    with pytest.raises(XlxmertError, match="a gzip file that ends early"):
        is_pairs(tmp_path / "cut.json.gz")
    (tmp_path / "object.json").write_text("{}")
    with pytest.raises(XlxmertError, match="expected a list at the top"):
        is_pairs(tmp_path / "object.json")
