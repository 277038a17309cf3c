"""Karpathy's splits: the published format is read, what is written is read again, and damage is one clear line."""

import json
from pathlib import Path
from typing import Any

import pytest

from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.data.karpathy import SplitPicture, read_karpathy, write_karpathy
from xlxmert.data.records import CaptionRecord

COCO = """{"images": [{"filepath": "val2014", "sentids": [770337, 771687], "filename": "COCO_val2014_000000391895.jpg",
"imgid": 0, "split": "test", "sentences": [{"tokens": ["a", "man", "with", "a", "red", "helmet"],
"raw": "A man with a red helmet", "imgid": 0, "sentid": 770337}, {"tokens": ["man", "riding"],
"raw": "Man riding.\\n", "imgid": 0, "sentid": 771687}], "cocoid": 391895},
{"filepath": "val2014", "sentids": [681330], "filename": "COCO_val2014_000000522418.jpg", "imgid": 1,
"split": "restval", "sentences": [{"tokens": ["a", "cake"], "raw": "A cake", "imgid": 1, "sentid": 681330}],
"cocoid": 522418},
{"filepath": "train2014", "sentids": [787980], "filename": "COCO_train2014_000000057870.jpg", "imgid": 40504,
"split": "train", "sentences": [{"tokens": ["a", "restaurant"], "raw": "A restaurant", "imgid": 40504,
"sentid": 787980}], "cocoid": 57870}], "dataset": "coco"}"""

FLICKR = """{"images": [{"sentids": [0, 1], "imgid": 0, "sentences": [{"tokens": ["two", "men"], "raw": "Two men.",
"imgid": 0, "sentid": 0}, {"tokens": [], "raw": " ", "imgid": 0, "sentid": 1}], "split": "train",
"filename": "1000092795.jpg"}, {"sentids": [2], "imgid": 1, "sentences": [{"tokens": ["a", "dog"], "raw": "A dog .",
"imgid": 1, "sentid": 2}], "split": "val", "filename": "10002456.jpg"}], "dataset": "flickr30k"}"""


def put(folder: Path, content: object) -> Path:
    path = folder / "dataset.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_the_published_coco_file_is_read_to_the_letter(tmp_path: Path) -> None:
    read = read_karpathy(put(tmp_path, COCO))
    assert read.pictures == (
        SplitPicture(391895, "val2014/COCO_val2014_000000391895.jpg", "test"),
        SplitPicture(522418, "val2014/COCO_val2014_000000522418.jpg", "restval"),
        SplitPicture(57870, "train2014/COCO_train2014_000000057870.jpg", "train"),
    )
    assert read.captions[:2] == (
        CaptionRecord(391895, 770337, "A man with a red helmet"),
        CaptionRecord(391895, 771687, "Man riding.\n"),
    )


def test_train_takes_restval_along_and_the_other_splits_are_themselves(tmp_path: Path) -> None:
    read = read_karpathy(put(tmp_path, COCO))
    assert [each.id for each in read.of("train").pictures] == [522418, 57870]
    assert [each.caption_id for each in read.of("train").captions] == [681330, 787980]
    assert [each.id for each in read.of("restval").pictures] == [522418]
    assert [each.id for each in read.of("test").pictures] == [391895] and len(read.of("test").captions) == 2


def test_flickrs_pictures_are_called_by_their_files_and_empty_captions_stay(tmp_path: Path) -> None:
    read = read_karpathy(put(tmp_path, FLICKR))
    assert read.pictures[0] == SplitPicture("1000092795.jpg", "1000092795.jpg", "train")
    assert [each.text for each in read.of("train").captions] == ["Two men.", " "]


def test_a_split_that_is_not_there_says_which_are(tmp_path: Path) -> None:
    read = read_karpathy(put(tmp_path, FLICKR))
    with pytest.raises(UsageError, match="expected one of the splits train, restval, val, test, found 'dev'"):
        read.of("dev")
    with pytest.raises(
        XlxmertError, match=r"of the split 'test' in .*dataset.json, found 1 of train, 1 of val: choose"
    ):
        read.of("test")
    with pytest.raises(XlxmertError, match="found none of any"):
        read_karpathy(put(tmp_path, {"images": []})).of("train")


def test_what_is_written_is_read_again_in_the_published_members(tmp_path: Path) -> None:
    pictures = [SplitPicture(7, "a/b/7.png", "restval"), SplitPicture("x.png", "x.png", "test")]
    captions = [CaptionRecord("x.png", 1, "O'Neil's T-shirt, “ü” – 2."), CaptionRecord(7, "s", "a dog\n")]
    path = tmp_path / "written.json"
    write_karpathy(path, "mine", pictures, captions)
    read, written = read_karpathy(path), json.loads(path.read_text())
    assert read.pictures == tuple(pictures) and set(read.captions) == set(captions)
    assert written["images"][0].keys() == json.loads(COCO)["images"][0].keys()
    assert written["images"][1].keys() == json.loads(FLICKR)["images"][0].keys()
    assert written["images"][1]["sentences"][0]["tokens"] == ["o'neil's", "t-shirt", "ü", "2"]


def test_a_writer_that_fails_leaves_what_was_there_before(tmp_path: Path) -> None:
    path, one = put(tmp_path, COCO), SplitPicture(1, "1.png", "train")
    wrong: list[tuple[list[SplitPicture], list[CaptionRecord], str]] = [
        ([one, SplitPicture(1, "2.png", "train")], [], "every picture once"),
        ([SplitPicture(1, "1.png", "dev")], [], "in a split of train"),
        ([SplitPicture("1", "1.png", "train")], [], "a number or the file's name as id"),
        ([one], [CaptionRecord(2, 9, "a dog")], "picture of caption 9 among the pictures, found 2"),
    ]
    for pictures, captions, message in wrong:
        with pytest.raises(XlxmertError, match=message):
            write_karpathy(path, "mine", pictures, captions)
    assert path.read_text() == COCO and list(tmp_path.iterdir()) == [path]


def changed(*path: str | int, **members: object) -> dict[str, object]:
    content: dict[str, object] = json.loads(COCO)
    entry: Any = content
    for step in path:
        entry = entry[step]
    for name, value in members.items():
        if value is None:
            del entry[name]
        else:
            entry[name] = value
    return content


PICTURE, SENTENCE = ("images", 0), ("images", 0, "sentences", 0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (changed(*PICTURE, split="dev"), r'train, restval, val, test as "split" in images\[0\] of .*found \'dev\''),
        (changed(*PICTURE, split=None), r'expected "split" in images\[0\]'),
        (changed(*PICTURE, split=3), r'string as "split" in images\[0\].*found 3'),
        (changed("images", 1, imgid=0), r"new imgid in images\[1\] of .*found 0 once more"),
        (changed("images", 1, cocoid=391895), r"new cocoid in images\[1\] of .*found 391895 once more"),
        (changed(*PICTURE, imgid=None), r'expected "imgid" in images\[0\]'),
        (changed(*PICTURE, imgid=True), 'whole number or a string as "imgid"'),
        (changed(*PICTURE, cocoid=1.5), 'whole number or a string as "cocoid"'),
        (changed(*PICTURE, filename=["a"]), 'string as "filename"'),
        (changed(*PICTURE, filepath=7), 'string as "filepath"'),
        (changed(*PICTURE, sentids=[770337]), r'ids of its "sentences" as "sentids" in images\[0\].*771687 in one'),
        (changed(*PICTURE, sentids=[770337, 771687, 5]), "found 5 in one of the two only"),
        (changed(*PICTURE, sentids=[770337, 771687, 770337]), "found 3 and 2"),
        (changed(*PICTURE, sentids=[[], {}]), "found a list of 0 in one of the two only"),
        (changed(*PICTURE, sentids="770337"), 'list as "sentids"'),
        (changed(*PICTURE, sentences={}), 'list as "sentences"'),
        (changed(*PICTURE, sentences=["a man"]), r"object at images\[0\].sentences\[0\] of .*found 'a man'"),
        (changed(*SENTENCE, imgid=1), r"0, its picture's, as \"imgid\" in images\[0\].sentences\[0\] of .*found 1"),
        (changed(*SENTENCE, sentid=771687), r"new sentid in images\[0\].sentences\[1\].*771687 once more"),
        (changed(*SENTENCE, raw=None), r'expected "raw" in images\[0\].sentences\[0\]'),
        (changed(*SENTENCE, raw=["a"]), 'string as "raw"'),
        (changed(*SENTENCE, raw="\ud800"), "half of a character pair"),
        ({"images": {}}, 'list as "images"'),
        ({"annotations": []}, 'expected "images" in .*found only "annotations"'),
        ([1], "expected an object at the top of .*found a list of 1"),
        (COCO[:-40], "cut short"),
        ("", "cut short"),
        ("[" * 100_000, "cannot be read"),
    ],
)
def test_damage_is_one_clear_line(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(XlxmertError, match=message) as caught:
        read_karpathy(put(tmp_path, content))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400 + len(str(tmp_path))


def test_two_pictures_of_one_file_name_are_refused_where_the_name_is_the_id(tmp_path: Path) -> None:
    content = json.loads(FLICKR)
    content["images"][1]["filename"] = content["images"][0]["filename"]
    with pytest.raises(XlxmertError, match=r"new file name in images\[1\] of .*found '1000092795.jpg' once more"):
        read_karpathy(put(tmp_path, content))


def test_a_missing_file_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(XlxmertError, match=r"expected a JSON file at .*none\.json, found nothing"):
        read_karpathy(tmp_path / "none.json")
