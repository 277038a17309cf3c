"""What is said of the pictures of a folder: files that lie there, names, and what is wrong with them."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.data.folder_captions import told_pictures


def pictures(folder: Path, *names: str) -> None:
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), number * 20, np.uint8)).save(path)


def named(told: dict[Path, list[str]], folder: Path) -> dict[str, list[str]]:
    return {path.relative_to(folder).as_posix(): texts for path, texts in told.items()}


def test_caption_files_are_found_where_they_usually_lie(tmp_path: Path) -> None:
    pictures(tmp_path, "a.jpg", "in/b.png", "c.png")
    (tmp_path / "captions.jsonl").write_text('{"image": "a.jpg", "caption": ["a red car", " "]}\n')
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/captions_val.csv").write_text("file_name,text\nin/b.png,a dog\na.jpg,a car\n")
    (tmp_path / "notes.txt").write_text("nothing to do with pictures\n")
    assert named(told_pictures(tmp_path), tmp_path) == {"a.jpg": ["a red car", "a car"], "in/b.png": ["a dog"]}


def test_metadata_as_image_folders_have_it(tmp_path: Path) -> None:
    pictures(tmp_path, "0.png", "1.png")
    (tmp_path / "metadata.csv").write_text("file_name,text\n0.png,a cat\n1.png,a dog\n")
    assert named(told_pictures(tmp_path), tmp_path) == {"0.png": ["a cat"], "1.png": ["a dog"]}


def test_text_files_beside_pictures(tmp_path: Path) -> None:
    pictures(tmp_path, "x/1.png", "y/1.png", "y/2.png")
    (tmp_path / "x/1.txt").write_text("a cat\na grey cat\n")
    (tmp_path / "y/1.txt").write_text("a dog\n")
    assert named(told_pictures(tmp_path), tmp_path) == {"x/1.png": ["a cat", "a grey cat"], "y/1.png": ["a dog"]}


def test_a_coco_file_names_its_pictures_by_id(tmp_path: Path) -> None:
    pictures(tmp_path / "train", "000007.jpg")
    content = {
        "images": [{"id": 7, "file_name": "000007.jpg", "width": 8, "height": 8}],
        "annotations": [{"id": 1, "image_id": 7, "caption": "a bus"}],
    }
    (tmp_path / "c.json").write_text(json.dumps(content))
    assert named(told_pictures(tmp_path, [tmp_path / "c.json"]), tmp_path) == {"train/000007.jpg": ["a bus"]}


def test_names_tell(tmp_path: Path) -> None:
    pictures(tmp_path, "ship/a_red-boat (2).png", "fire_engine/0001.png", "loose.png")
    assert named(told_pictures(tmp_path, names="files"), tmp_path) == {
        "loose.png": ["loose"],
        "ship/a_red-boat (2).png": ["a red boat"],
    }
    assert named(told_pictures(tmp_path, names="folders"), tmp_path) == {
        "fire_engine/0001.png": ["fire engine"],
        "ship/a_red-boat (2).png": ["ship"],
    }


def test_no_captions_at_all(tmp_path: Path) -> None:
    pictures(tmp_path, "a.jpg")
    with pytest.raises(XlxmertError, match=r"expected captions in .* write captions.jsonl"):
        told_pictures(tmp_path)


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(XlxmertError, match="expected a folder"):
        told_pictures(tmp_path / "nothing")


def test_a_caption_of_a_picture_that_is_not_there_names_the_file(tmp_path: Path) -> None:
    pictures(tmp_path, "a.jpg")
    (tmp_path / "captions.jsonl").write_text('{"image": "b.jpg", "caption": "a dog"}\n')
    with pytest.raises(XlxmertError, match=r"'b.jpg'.*captions.jsonl"):
        told_pictures(tmp_path)


def test_files_and_names_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="found both"):
        told_pictures(tmp_path, [tmp_path / "captions.jsonl"], "files")
