"""LXMERT's pre-training sentences: read as published, written again, and damage is one clear line."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from xlxmert.core.errors import XlxmertError
from xlxmert.data.pretraining import ToldPicture, plain_answer, plain_answers, read_pretraining, write_pretraining

TRAIN = """[{"img_id": "COCO_train2014_000000318556", "labelf": {"vqa": [{"no": 1}, {"yes": 1}, {"no": 1},
{"blue": 1, "blue and white": 0.3}]}, "sentf": {"mscoco": ["A very clean and well decorated empty bathroom",
"A blue and white bathroom with butterfly themed wall tiles."], "vqa": ["Is the sink full of water?",
"Are there any butterflies on the tiles?", "Is this bathroom in a hotel?", "What color are the walls?"]}},
{"img_id": "2375429", "labelf": {"visual7w": [{"Gray.": 1.0}], "gqa": [{"left": 1.0}, {}]}, "sentf":
{"vg": ["the clock is green in colour"], "visual7w": ["What color is the tie?"],
"gqa": ["Is the cup left or right?", "Who is it?"]}}]"""


def put(folder: Path, content: object) -> Path:
    path = folder / "mscoco_train.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_the_published_file_is_read_to_the_letter(tmp_path: Path) -> None:
    path = put(tmp_path, TRAIN)
    first, second = read_pretraining(path)
    assert first.picture_id == "COCO_train2014_000000318556"
    assert [len(texts) for texts in first.sentences.values()] == [2, 4]
    assert first.answers["vqa"][3] == {"blue": 1.0, "blue and white": 0.3}
    lines = [*first.lines()]
    assert lines[0] == ("mscoco", "A very clean and well decorated empty bathroom", {})
    assert lines[2] == ("vqa", "Is the sink full of water?", {"no": 1.0})
    assert [*second.lines()][2:] == [("gqa", "Is the cup left or right?", {"left": 1.0}), ("gqa", "Who is it?", {})]
    path.write_bytes(gzip.compress(TRAIN.encode()))
    assert list(read_pretraining(path)) == [first, second]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    told = list(read_pretraining(put(tmp_path, TRAIN)))
    told.append(ToldPicture("x", {"vqa": ("“Why” ü?",)}))
    write_pretraining(tmp_path / "written.json", iter(told))
    assert list(read_pretraining(tmp_path / "written.json")) == told
    assert json.loads((tmp_path / "written.json").read_text())[:2] == json.loads(TRAIN)
    for wrong in (told[0], ToldPicture("y", {"vqa": ("Why?",)}, {"vqa": ()}), ToldPicture("y", {"flickr": ("a dog",)})):
        with pytest.raises(XlxmertError, match="expected every picture once"):
            write_pretraining(tmp_path / "written.json", [*told, wrong])
    assert list(read_pretraining(tmp_path / "written.json")) == told


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ("A man", "man"), ("the Woman.", "woman"), ("an apple", "apple"), ("Grey.", "gray"), ("Two.", "2"),
        ("ten", "10"), ("eleven", "eleven"), ("another", "another"), ("a", "a"), ("", ""), (".", ""),
        ("on the left", "on the left"),
    ],
)  # fmt: skip
def test_answers_are_spelled_as_in_the_table(given: str, plain: str) -> None:
    assert plain_answer(given) == plain


def test_answers_that_become_the_same_keep_the_better_score() -> None:
    assert plain_answers({"two": 0.3, "2": 0.9, "a dog": 1.0, ".": 1.0}) == {"2": 0.9, "dog": 1.0}


def changed(*path: str | int, value: object) -> object:
    content: Any = json.loads(TRAIN)
    entry = content
    for step in path[:-1]:
        entry = entry[step]
    entry[path[-1]] = value
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (changed(0, "img_id", value=5), r'string as "img_id" in \[0\] of .*found 5'),
        (changed(1, "img_id", value="COCO_train2014_000000318556"), r"new picture in \[1\] of .*once more"),
        (changed(1, "img_id", value="7"), r"known picture in \[1\] of .*found '7'"),
        (changed(0, "sentf", value=[]), r"object at \[0\].sentf of .*found a list of 0"),
        (changed(0, "sentf", "mscoco", value="a dog"), r'list of strings as "mscoco" in \[0\].sentf'),
        (changed(0, "sentf", "mscoco", value=["a", 3]), r'list of strings as "mscoco"'),
        (changed(0, "sentf", "mscoco", value=["\ud800"]), "half of a character pair"),
        (changed(0, "sentf", "flickr", value=[]), r"mscoco, vg, vqa, gqa, visual7w in \[0\].sentf .*found 'flickr'"),
        (changed(0, "labelf", "vqa", value=[{"no": 1}]), r'4 answers as "vqa", one for each.*\[0\].labelf .*found 1'),
        (changed(0, "labelf", "gqa", value=[{"no": 1}]), '0 answers as "gqa"'),
        (changed(0, "labelf", "vqa", 0, value="no"), r"object at \[0\].labelf.vqa\[0\] of .*found 'no'"),
        (changed(0, "labelf", "vqa", 0, "no", value="1"), r'finite number as "no" in \[0\].labelf.vqa\[0\]'),
        (changed(0, "labelf", "vqa", 0, "no", value=float("nan")), 'finite number as "no"'),
        (changed(0, "labelf", "vqa", 0, "no", value=0), 'score above 0 and at most 1 as "no" .*found 0'),
        (changed(0, "labelf", "vqa", 0, "no", value=1.5), "found 1.5"),
        (changed(0, "labelf", "vqa", value={}), 'list as "vqa"'),
        ([[]], r"object at \[0\] of .*found a list of 0"),
        ({}, "expected a list at the top"),
        (TRAIN[:-40], r"JSON at \[1\] of .*cut short"),
        ("", "expected a list at the top .*found nothing"),
    ],
)
def test_damage_is_one_clear_line(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(XlxmertError, match=message) as caught:
        list(read_pretraining(put(tmp_path, content), {"COCO_train2014_000000318556", "2375429"}))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400 + len(str(tmp_path))


def test_a_file_that_is_cut_gives_what_comes_before(tmp_path: Path) -> None:
    records = read_pretraining(put(tmp_path, TRAIN[:-40]))
    assert next(records).picture_id == "COCO_train2014_000000318556"
    with pytest.raises(XlxmertError, match="cut short"):
        next(records)
