"""NLVR2: what is written is read again, and the published lines are understood."""

import json
from pathlib import Path

import pytest

from xlxmert.core.errors import XlxmertError
from xlxmert.data.nlvr2 import picture_names, read_nlvr2, write_nlvr2
from xlxmert.data.records import PairRecord

TEST_LINE = (
    '{"validation": {"77": "True"}, "sentence": "Both pictures show a green bottle.", '
    '"left_url": "https://a.org/1.jpg", "writer": "103", "label": "True", "right_url": "https://a.org/2.jpg", '
    '"synset": "beer bottle", "query": "some beer bottles2", "identifier": "test2-189-0-0", '
    '"extra_validations": {"56": "True", "43": "False", "61": "True", "55": "True"}}'
)
TRAIN_LINE = (
    '{"validation": {"47": "False"}, "sentence": "One picture shows a closed box.", '
    '"left_url": "https://a/1.jpg", "writer": "47", "label": "False", "right_url": "https://a/2.jpg", "directory": 63, '
    '"synset": "pencil box", "query": "group of pencil boxes4", "identifier": "train-10171-0-0"}'
)


def put(folder: Path, content: str) -> Path:
    path = folder / "dev.json"
    path.write_text(content)
    return path


def test_the_published_lines_are_read_in_full(tmp_path: Path) -> None:
    test, train = read_nlvr2(put(tmp_path, f"{TEST_LINE}\n\n{TRAIN_LINE}"))
    assert (test.left_id, test.right_id, test.label) == ("test2-189-0-img0", "test2-189-0-img1", True)
    assert test.extra_validations == {"56": True, "43": False, "61": True, "55": True}
    assert (test.synset, test.query, test.writer, test.directory) == ("beer bottle", "some beer bottles2", "103", None)
    assert (train.left_id, train.label, train.directory) == ("train-10171-0-img0", False, 63)
    assert train.validation == {"47": False} and train.extra_validations == {}


def test_the_published_lines_are_written_again_letter_for_letter(tmp_path: Path) -> None:
    path = put(tmp_path, f"{TEST_LINE}\n{TRAIN_LINE}\n")
    write_nlvr2(tmp_path / "again.json", iter(read_nlvr2(path)))
    assert (tmp_path / "again.json").read_text() == path.read_text()


def test_written_pairs_are_read_again(tmp_path: Path) -> None:
    pairs = [
        PairRecord(*picture_names(name := f"val-{number}-3-1"), name, "Both “are” dogs.\u2028", bool(number % 2))
        for number in range(500)
    ]
    write_nlvr2(tmp_path / "val.json", pairs)
    assert read_nlvr2(tmp_path / "val.json") == pairs


def changed(**members: object) -> str:
    return json.dumps({name: value for name, value in (json.loads(TEST_LINE) | members).items() if value != "gone"})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (changed(sentence="gone"), r'"sentence" in line 1 of .*dev\.json'),
        (changed(label="maybe"), '"True" or "False" as "label" in line 1 of .*found \'maybe\''),
        (changed(label=1), '"True" or "False" as "label"'),
        (changed(identifier="test2-189"), "identifier split-set-pair-sentence .*found 'test2-189'"),
        (changed(identifier="../../x-1-1-1"), "identifier split-set-pair-sentence"),
        (changed(validation={"77": "Yes"}), r'"77" in line 1.validation of'),
        (changed(directory="x"), 'whole number as "directory"'),
        (f"{TEST_LINE}\n{TEST_LINE}", "new identifier in line 2"),
        (f"{TRAIN_LINE}\n{TEST_LINE[:-5]}", "line 2 is none .*cut short"),
        ("[1]", "object at line 1 of .*found a list of 1"),
        (json.dumps([json.loads(TEST_LINE)], indent=1), "one JSON object per line"),
        ('{"a":' * 100_000, "could not read|one JSON object per line"),
    ],
)
def test_damaged_lines_are_one_clear_line(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(XlxmertError, match=message) as caught:
        read_nlvr2(put(tmp_path, content))
    assert "\n" not in str(caught.value)


def test_missing_binary_and_foreign_files_are_errors(tmp_path: Path) -> None:
    with pytest.raises(XlxmertError, match="found nothing"):
        read_nlvr2(tmp_path / "none.json")
    (tmp_path / "picture.json").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(XlxmertError, match=r"expected text in UTF-8 in .*found other bytes"):
        read_nlvr2(tmp_path / "picture.json")
    with pytest.raises(XlxmertError, match=r"known picture in line 1 .*found 'test2-189-0-img1'"):
        read_nlvr2(put(tmp_path, TEST_LINE), pictures={"test2-189-0-img0"})


def test_pictures_must_be_named_after_the_pair(tmp_path: Path) -> None:
    with pytest.raises(XlxmertError, match="named train-1-0-img0 and train-1-0-img1, found a and b"):
        write_nlvr2(tmp_path / "train.json", [PairRecord("a", "b", "train-1-0-0", "One dog.", True)])
    assert not list(tmp_path.iterdir())
