"""X-LXMERT's h5 features: both published layouts are read, and each way to break them is one line."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xlxmert.core.errors import XlxmertError
from xlxmert.data.h5_features import read_h5_features

h5py = pytest.importorskip("h5py")

NAME = "COCO_train2014_000000458752"
GRID = np.arange(4 * 4 * 3, dtype=np.float32).reshape(4, 4, 3)
BOXES = np.array([[0, 0, 320, 240], [100, 50, 700, 480]], np.float32)


def put(folder: Path, change: Callable[[Any], None] | None = None, boxes: bool = True) -> Path:
    path = folder / "maskrcnn_train.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group(NAME)
        group["features"] = GRID[0, :2] if boxes else GRID
        if boxes:
            group["obj_id"], group["boxes"] = np.array([1599, 0]), BOXES
            group["img_w"], group["img_h"] = 640, 480
        if change is not None:
            change(file)
    return path


def replace(name: str, value: object) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        del file[NAME][name]
        if value is not None:
            file[NAME][name] = value

    return change


def test_a_grid_is_read_row_by_row(tmp_path: Path) -> None:
    path = put(tmp_path, lambda file: file.create_group("a").create_dataset("features", data=GRID + 100), boxes=False)
    first, second = read_h5_features(path)
    assert (first.picture_id, second.picture_id) == (NAME, "a")
    assert first.features.tolist() == GRID.reshape(16, 3).tolist() and first.boxes is None and first.labels is None
    assert [each.picture_id for each in read_h5_features(path, {"a"})] == ["a"]


def test_boxes_become_shares_and_are_cut_off_at_the_picture(tmp_path: Path) -> None:
    (read,) = read_h5_features(put(tmp_path))
    assert read.boxes is not None and read.labels is not None
    assert np.allclose(read.boxes, [[0, 0, 0.5, 0.5], [100 / 640, 50 / 480, 1, 1]])
    assert read.labels.tolist() == [1599, 0] and read.features.shape == (2, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (replace("features", None), 'expected "features" .*found only boxes, img_h, img_w, obj_id'),
        (replace("features", np.arange(6)), r'floats as "features".*found int64 \(6,\)'),
        (replace("features", np.zeros((2, 3, 4), np.float32)), r"square grid .*found the shape \(2, 3, 4\)"),
        (replace("features", np.zeros(4, np.float32)), r"of a grid or \(N, F\) of boxes .*found the shape \(4,\)"),
        (replace("features", np.full((2, 3), np.nan, np.float32)), "finite features .*nan in number 0 of token 0"),
        (replace("features", np.zeros((3, 3), np.float32)), r"boxes \(3, 4\) and obj_id \(3,\)"),
        (replace("boxes", None), 'expected "boxes"'),
        (replace("boxes", np.array([[0, 0, 5, 5], [0, np.nan, 5, 5]], np.float32)), r"box 1 \(0, nan, 5, 5\)"),
        (replace("boxes", np.array([[0, 0, 5, 5], [0, 0, 900, 5]], np.float32)), "box 1 .*outside the picture"),
        (replace("boxes", np.array([[0, 0, 5, 5], [5, 0, 5, 5]], np.float32)), "box 1 .*of no area"),
        (replace("obj_id", np.array([0, -3])), 'numbers from 0 as "obj_id".*found -3'),
        (replace("obj_id", np.array([0.5, 1])), 'whole numbers as "obj_id".*found float64'),
        (replace("img_w", 0), 'a whole number from 1 as "img_w".*found 0'),
        (replace("img_h", "tall"), 'whole numbers as "img_h"'),
        (replace("boxes", h5py.ExternalLink("/etc/passwd", "/x")), '"boxes".*found no array'),
    ],
)
def test_a_broken_picture_is_named(tmp_path: Path, change: Callable[[Any], None], message: str) -> None:
    with pytest.raises(XlxmertError, match=message) as caught:
        list(read_h5_features(put(tmp_path, change)))
    assert NAME in str(caught.value) and "\n" not in str(caught.value)


def test_another_picture_must_have_as_many_features(tmp_path: Path) -> None:
    path = put(tmp_path, lambda file: file.create_group("b").create_dataset("features", data=GRID[:2, :2]), boxes=False)
    with pytest.raises(XlxmertError, match=r"features \(16, 3\) as before in picture 'b' .*found \(4, 3\)"):
        list(read_h5_features(path))


def test_other_files_are_one_clear_line(tmp_path: Path) -> None:
    path = put(tmp_path, lambda file: file.create_dataset("x", data=np.zeros(100_000)))
    with pytest.raises(XlxmertError, match=r"a group with \"features\" in picture 'x'"):
        list(read_h5_features(path))
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"nothing", b""):
        path.write_bytes(content)
        with pytest.raises(XlxmertError, match=r"cannot be read to its end .*download it again") as caught:
            list(read_h5_features(path))
        assert "\n" not in str(caught.value)
    with pytest.raises(XlxmertError, match="found nothing: check the path"):
        list(read_h5_features(tmp_path / "none.h5"))
    with h5py.File(path, "w"):
        pass
    with pytest.raises(XlxmertError, match=r"a group for every picture .*found none"):
        list(read_h5_features(path))


def test_without_h5py_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(XlxmertError, match=r"needs h5py: install the extra, pip install 'xlxmert\[h5\]'"):
        list(read_h5_features(path))
