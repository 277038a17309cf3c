"""LXMERT's detected boxes: the published columns are read, written again, and each way to break them is one line."""

import base64
import csv
import gzip
from pathlib import Path

import numpy as np
import pytest

from xlxmert.core.errors import XlxmertError
from xlxmert.data.features import SeenPicture
from xlxmert.data.tsv_features import COLUMNS, read_tsv_features, write_tsv_features

BOXES, WIDTH = 3, 5


def row(name: str, **changes: object) -> dict[str, object]:
    """A line as the extraction script writes it; changes are arrays, or text that stands in the file."""
    rng = np.random.default_rng(len(name))
    boxes = np.array([[0, 0, 639.9, 479.5], [10.5, 20.25, 320, 240], [600, 1, 640, 480]], np.float32)
    values: dict[str, object] = {
        "img_id": name, "img_h": 480, "img_w": 640,
        "objects_id": np.array([1599, 0, 7]), "objects_conf": np.array([0.9, 0.5, 0.25], np.float32),
        "attrs_id": np.array([399, 1, 0]), "attrs_conf": np.array([1.0, 0.0, 0.5], np.float32),
        "num_boxes": BOXES, "boxes": boxes, "features": rng.random((BOXES, WIDTH), np.float32),
    } | changes  # fmt: skip
    return {
        key: base64.b64encode(value.tobytes()).decode() if isinstance(value, np.ndarray) else value
        for key, value in values.items()
    }


def put(folder: Path, rows: list[dict[str, object]]) -> Path:
    path = folder / "train2014_obj36.tsv"
    with path.open("w", newline="") as stream:  # csv ends lines with \r\n, as the script's do
        csv.DictWriter(stream, COLUMNS, delimiter="\t").writerows(rows)
    return path


NAMES = ["COCO_train2014_000000000009", "2375429"]


def test_the_published_columns_are_read(tmp_path: Path) -> None:
    path = put(tmp_path, [row(name) for name in NAMES])
    first, second = read_tsv_features(path)
    assert (first.picture_id, second.picture_id) == tuple(NAMES)
    assert first.features.shape == (BOXES, WIDTH) and first.features.dtype == np.float32
    assert first.boxes is not None and first.labels is not None and first.label_scores is not None
    assert np.allclose(first.boxes[1], [10.5 / 640, 20.25 / 480, 0.5, 0.5])
    assert first.labels.tolist() == [1599, 0, 7] and np.allclose(first.label_scores, [0.9, 0.5, 0.25])
    assert first.attributes is not None and first.attributes.tolist() == [399, 1, 0]
    packed = tmp_path / "packed.tsv"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert [each.picture_id for each in read_tsv_features(packed)] == NAMES


def test_only_wanted_pictures_are_unpacked(tmp_path: Path) -> None:
    path = put(tmp_path, [row(NAMES[0], features="not base64"), row(NAMES[1])])
    assert [each.picture_id for each in read_tsv_features(path, {NAMES[1]})] == [NAMES[1]]
    assert list(read_tsv_features(path, set())) == []


def test_reading_does_not_change_the_limits_of_csv(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    path = put(tmp_path, [row("a", features=np.zeros((BOXES, 20_000), np.float32))])
    assert next(read_tsv_features(path)).features.shape == (BOXES, 20_000)
    assert csv.field_size_limit() == before < path.stat().st_size


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    seen = list(read_tsv_features(put(tmp_path, [row(name) for name in NAMES])))
    write_tsv_features(tmp_path / "again.tsv", [(each, 640, 480) for each in seen])
    for one, two in zip(seen, read_tsv_features(tmp_path / "again.tsv"), strict=True):
        assert one.picture_id == two.picture_id and one.boxes is not None and two.boxes is not None
        assert (one.features == two.features).all() and np.allclose(one.boxes, two.boxes, atol=1e-6)
    with pytest.raises(XlxmertError, match="this format has no grids"):
        write_tsv_features(tmp_path / "again.tsv", [(SeenPicture("a", seen[0].features), 640, 480)])


def boxes(*last: float) -> np.ndarray:
    return np.array([[0, 0, 640, 480], [1, 1, 2, 2], last], np.float32)


def spoilt(value: float) -> np.ndarray:
    features = np.zeros((BOXES, WIDTH), np.float32)
    features[1, 4] = value
    return features


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"boxes": boxes(0, np.nan, 5, 5)}, r"box 2 \(0, nan, 5, 5\) that is no number"),
        ({"boxes": boxes(0, 0, np.inf, 5)}, r"box 2 \(0, 0, inf, 5\) that is no number"),
        ({"boxes": boxes(0, 0, 700, 5)}, r"within the 640 x 480 .*box 2 \(0, 0, 700, 5\) outside the picture"),
        ({"boxes": boxes(-20, 0, 5, 5)}, "box 2 .* outside the picture"),
        ({"boxes": boxes(9, 0, 5, 5)}, r"box 2 \(9, 0, 5, 5\) that ends before it begins"),
        ({"boxes": boxes(5, 0, 5, 5)}, r"box 2 \(5, 0, 5, 5\) of no area.*accept flat boxes"),
        ({"boxes": boxes(641, 0, 642, 5)}, r"box 2 \(641, 0, 642, 5\) of no area"),
        ({"features": spoilt(np.nan)}, "finite features in line 2.*found nan in number 4 of token 1"),
        ({"features": spoilt(-np.inf)}, "found -inf in number 4 of token 1"),
        ({"objects_id": np.array([0, -1, 2])}, 'numbers from 0 as "objects_id".*found -1'),
        ({"attrs_conf": np.array([0, 0, 1.5], np.float32)}, 'chances between 0 and 1 as "attrs_conf".*found 1.5'),
        ({"objects_conf": np.array([0, np.nan, 1], np.float32)}, 'as "objects_conf".*found nan'),
        ({"num_boxes": 4}, '4 numbers of 8 bytes as "objects_id".*found 24 bytes'),
        ({"num_boxes": 0}, "a whole number from 1 as \"num_boxes\".*found '0'"),
        ({"num_boxes": "three"}, "found 'three'"),
        ({"img_w": "-5"}, "a whole number from 1 as \"img_w\".*found '-5'"),
        ({"img_h": 4.5}, "found '4.5'"),
        ({"features": spoilt(0).tobytes().hex()[:41]}, 'base64 as "features".*cut short'),
        ({"features": np.zeros(7, np.float32)}, '3 x F numbers of 4 bytes as "features".*found 28 bytes'),
        ({"features": ""}, 'as "features".*found 0 bytes'),
        ({"features": "b'!!!!'"}, 'base64 as "features"'),
        ({"features": np.zeros((BOXES, 2), np.float32)}, "features of width 5 as before .*found 2.*cut short"),
        ({"img_id": NAMES[0]}, "new picture in line 2 of .*once more"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, change: dict[str, object], message: str) -> None:
    path = put(tmp_path, [row(NAMES[0]), row(NAMES[1], **change)])
    records = read_tsv_features(path)
    next(records)
    with pytest.raises(XlxmertError, match=message) as caught:
        next(records)
    assert "line 2" in str(caught.value) and "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(tmp_path))


def test_flat_boxes_are_accepted_on_request(tmp_path: Path) -> None:
    path = put(tmp_path, [row(NAMES[0], boxes=boxes(5, 0, 5, 5))])
    assert next(read_tsv_features(path, flat=True)).picture_id == NAMES[0]


def test_base64_that_python_3_wrote_as_bytes_is_read(tmp_path: Path) -> None:
    plain = row(NAMES[0])
    path = put(tmp_path, [plain | {"features": f"b'{plain['features']}'"}])
    assert next(read_tsv_features(path)).features.shape == (BOXES, WIDTH)


def test_a_download_that_stopped_is_one_clear_line(tmp_path: Path) -> None:
    path = put(tmp_path, [row(name) for name in NAMES])
    whole = path.read_bytes()
    for cut, message in ((-30, "line 2.*cut short"), (-200, "the ten columns .*line 2")):
        path.write_bytes(whole[:cut])
        with pytest.raises(XlxmertError, match=message):
            list(read_tsv_features(path))
    path.write_bytes(gzip.compress(whole)[:-20])
    with pytest.raises(XlxmertError, match="ends early"):
        list(read_tsv_features(path))
    path.write_bytes(b"")
    with pytest.raises(XlxmertError, match="found an empty file"):
        list(read_tsv_features(path))
