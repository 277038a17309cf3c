"""Captions in people's own files: every kind is read, and what is wrong is told with its line."""

from pathlib import Path

import pytest

from xlxmert.core.errors import XlxmertError
from xlxmert.data.plain_captions import read_plain_captions

WANTED = [("a.jpg", "a red car"), ("a.jpg", "a car, red"), ("sub/b.png", "two dogs")]
FILES = {
    "c.jsonl": (
        '{"image": "a.jpg", "captions": ["a red car", "a car, red"]}\n\n'
        '{"File_Name": "sub/b.png", "text": "two dogs"}\n'
    ),
    "c.csv": 'id,image,caption\n1,a.jpg,a red car\n2,a.jpg,"a car, red"\n3,sub/b.png,two dogs\n',
    "c.tsv": "Caption\tPicture\na red car\ta.jpg\na car, red\ta.jpg\ntwo dogs\tsub/b.png\n",
    "c.txt": "a.jpg\ta red car\na.jpg\ta car, red\n\nsub/b.png\ttwo dogs\n",
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_every_kind_of_file_gives_the_same(tmp_path: Path, name: str, mark: str) -> None:
    (tmp_path / name).write_text(mark + FILES[name], encoding="utf-8")
    pictures, captions = read_plain_captions(tmp_path / name)
    assert [(each.picture_id, each.text) for each in captions] == WANTED
    assert [picture.file_name for picture in pictures] == ["a.jpg", "sub/b.png"]
    assert [each.caption_id for each in captions] == [0, 1, 2]


def test_a_text_file_beside_its_picture_holds_its_captions(tmp_path: Path) -> None:
    (tmp_path / "holiday 1.txt").write_text("a beach at noon\n\n  two boats \n", encoding="utf-8")
    pictures, captions = read_plain_captions(tmp_path / "holiday 1.txt")
    assert [picture.id for picture in pictures] == ["holiday 1"]
    assert [each.text for each in captions] == ["a beach at noon", "two boats"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("c.jsonl", '{"image": "a.jpg"}\n', r"one of caption, .* in line 1 of .*c\.jsonl, found image"),
        ("c.jsonl", '{"image": "a.jpg", "caption": "x"}\n{"image"', "line 2 of .*found broken JSON"),
        ("c.jsonl", "[1]\n", "an object in line 1 .*found a list"),
        ("c.jsonl", '{"image": 7, "caption": "x"}\n', "a picture as text in line 1 .*found 7"),
        ("c.jsonl", '{"image": "a.jpg", "caption": ["x", null]}\n', "a caption as text in line 1 .*found None"),
        ("c.csv", "image,words\na.jpg,x\n", "a column caption or .*found image, words"),
        ("c.csv", "image,caption\na.jpg,x\nb.jpg\n", "2 columns in line 3 .*found 1"),
        ("c.csv", 'image,caption\na.jpg,"x\n', "a broken line 2"),
        ("c.csv", "", "a column image or .*found none"),
        ("c.tsv", "image\tcaption\n \tx\n", "a picture as text in line 2"),
        ("c.txt", "a.jpg\tx\nb.jpg y\n", "line 2 of .*found no tab"),
        ("c.txt", "\n \n", "captions in .*found none"),
        ("c.xml", "<x/>", r"ends in \.jsonl, .*found '\.xml'"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(XlxmertError, match=message):
        read_plain_captions(tmp_path / name)


def test_missing_files_and_other_encodings_are_told(tmp_path: Path) -> None:
    with pytest.raises(XlxmertError, match="found nothing: check the path"):
        read_plain_captions(tmp_path / "c.csv")
    (tmp_path / "c.csv").write_bytes("image,caption\na.jpg,caf\u00e9\n".encode("latin1"))
    with pytest.raises(XlxmertError, match="expected text in UTF-8 in"):
        read_plain_captions(tmp_path / "c.csv")
