"""Folders of pictures: what counts as a picture, and which file an id means."""

from pathlib import Path

import pytest

from xlxmert.core.errors import XlxmertError
from xlxmert.data.pictures import PictureFolder, list_pictures
from xlxmert.data.records import PictureRecord


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_pictures_are_listed_sorted_by_known_suffix_and_hidden_files_are_not(tmp_path: Path) -> None:
    fill(tmp_path, "b.JPG", "a.png", "c.webp", "notes.txt", ".d.png", "within/e.png", ".hidden/f.png")
    assert [path.name for path in list_pictures(tmp_path)] == ["a.png", "b.JPG", "c.webp"]
    assert [path.name for path in list_pictures(tmp_path, nested=True)] == ["a.png", "b.JPG", "c.webp", "e.png"]


def test_a_folder_without_pictures_says_what_it_holds(tmp_path: Path) -> None:
    fill(tmp_path, "notes.txt", "more.csv", "within/e.png")
    with pytest.raises(XlxmertError, match=r"expected pictures \(png, jpg, webp, …\) in .*found 2 other files"):
        list_pictures(tmp_path)


def test_a_missing_folder_and_a_file_are_clear_errors(tmp_path: Path) -> None:
    fill(tmp_path, "a.png")
    with pytest.raises(XlxmertError, match=r"expected a folder at .*found nothing"):
        list_pictures(tmp_path / "none")
    with pytest.raises(XlxmertError, match=r"expected a folder at .*found a file"):
        PictureFolder(tmp_path / "a.png")


def test_ids_of_every_data_set_find_their_file(tmp_path: Path) -> None:
    names = (
        "COCO_val2014_000000391895.jpg",
        "000000000139.jpg",
        "VG_100K/2370463.jpg",
        "VG_100K_2/1.jpg",
        "n411121.jpg",
        "train/63/train-10171-0-img0.png",
        "train/63/train-10171-0-img1.png",
    )
    folder = PictureFolder(fill(tmp_path, *names), [PictureRecord(2412112, "VG_100K/2370463.jpg", 500, 281)])
    wanted = (391895, 139, 2412112, 1, "n411121", "train-10171-0-img0", "train/63/train-10171-0-img1.png")
    assert [folder.path(each).relative_to(tmp_path).as_posix() for each in wanted] == list(names)
    assert folder.path("2370463").name == "2370463.jpg" and folder.path("1") == folder.path(1)
    assert len(folder) == len(names) and 139 in folder and 140 not in folder and "" not in folder


def test_the_record_s_file_name_comes_before_the_id(tmp_path: Path) -> None:
    folder = PictureFolder(
        fill(tmp_path, "1.png", "2.png"), [PictureRecord(1, "2.png", 8, 8), PictureRecord(2, "flat/1.jpg", 8, 8)]
    )
    assert folder.path(1).name == "2.png"
    assert folder.path(2).name == "1.png"


def test_no_file_and_two_files_are_clear_errors(tmp_path: Path) -> None:
    folder = PictureFolder(fill(tmp_path, "train/1.png", "val/1.png", "3.png"), [PictureRecord(7, "seven.png", 8, 8)])
    with pytest.raises(XlxmertError, match=r"one file for picture 1 in .*found train/1\.png and val/1\.png"):
        folder.path(1)
    with pytest.raises(XlxmertError, match=r"expected picture 7 \(seven\.png\) in .*found 3 other pictures"):
        folder.path(7)
    assert 1 not in folder and folder.path("val/1.png").parent.name == "val"


def test_ids_never_lead_out_of_the_folder(tmp_path: Path) -> None:
    fill(tmp_path, "secret.png", "in/a.png")
    folder = PictureFolder(tmp_path / "in", [PictureRecord(1, "../secret.png", 8, 8)])
    for picture_id in (1, "../secret.png", str(tmp_path / "secret.png"), "9" * 5000):
        with pytest.raises(XlxmertError):
            folder.path(picture_id)
