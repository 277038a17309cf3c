"""Tables of the datasets library: every kind that can be named gives the same samples, broken ones one line."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.data.shards import Sample
from xlxmert.data.tables import Columns, open_table

datasets = pytest.importorskip("datasets")


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No network, and no cache that outlives the test."""
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def picture(number: int, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((4, 4, 3), 40 * number, np.uint8)).save(stream, kind)
    return stream.getvalue()


ROWS: dict[str, list[Any]] = {
    "image": [
        {"bytes": picture(0), "path": "a.PNG"}, {"bytes": picture(1, "JPEG"), "path": None},
        {"bytes": b"no picture", "path": None}, None, {"bytes": picture(2, "GIF"), "path": None},
    ],
    "caption": [["a red car", " two cars "], ["a dog"], ["what ?"], ["nothing"], []],
    "extra": [1, 2, 3, 4, 5],
}  # fmt: skip
SAMPLES = [
    Sample("00000000", ".png", picture(0), ("a red car", "two cars")),
    Sample("00000001", ".jpg", picture(1, "JPEG"), ("a dog",)),
    Sample("00000002", ".jpg", b"no picture", ("what ?",)),
    Sample("00000003", "", b"", ("nothing",)),
    Sample("00000004", ".gif", picture(2, "GIF"), ()),
]


def dataset(**changes: list[Any]) -> Any:
    return datasets.Dataset.from_dict(ROWS | changes).cast_column("image", datasets.Image())


def saved(folder: Path) -> str:
    dataset().save_to_disk(folder / "saved")
    return str(folder / "saved")


def split(folder: Path) -> str:
    datasets.DatasetDict({"train": dataset(), "val": dataset().select([0])}).save_to_disk(folder / "split")
    return str(folder / "split")


def parquet(folder: Path) -> str:
    dataset().to_parquet(folder / "p.parquet")
    return str(folder / "p.parquet")


def parquets(folder: Path) -> str:
    for number, rows in enumerate(([0, 1], [2, 3, 4])):
        dataset().select(rows).to_parquet(folder / f"hub/data/train-{number:05d}-of-00002.parquet")
    dataset().select([0]).to_parquet(folder / "hub/data/val-00000-of-00001.parquet")
    return str(folder / "hub")


def arrow(folder: Path) -> str:
    return str(next(Path(saved(folder)).glob("*.arrow")))


def plain(folder: Path) -> str:
    """As other tools write: bytes without any feature's name."""
    content = [row and row["bytes"] for row in ROWS["image"]]
    datasets.Dataset.from_dict(ROWS | {"image": content}).to_parquet(folder / "plain.parquet")
    return str(folder / "plain.parquet")


@pytest.mark.parametrize("kind", [saved, split, parquet, arrow, plain])
def test_every_kind_gives_the_same_samples(kind: Callable[[Path], str], tmp_path: Path) -> None:
    table = open_table(kind(tmp_path))
    assert list(table.samples()) == SAMPLES
    assert list(table.samples(3)) == SAMPLES[3:] and list(table.samples(1, 3)) == SAMPLES[1:3]
    assert list(table.samples(9)) == []


def test_a_split_is_chosen(tmp_path: Path) -> None:
    for kind in (split, parquets):
        assert len(list(open_table(kind(tmp_path), Columns(split="val")).samples())) == 1
    assert [sample.key for sample in open_table(str(tmp_path / "hub"), Columns(split="train")).samples()] == [
        f"{number:08d}" for number in range(5)
    ]
    with pytest.raises(UsageError, match=r"expected the split test in .*found train, val: pass --table-split"):
        open_table(str(tmp_path / "split"), Columns(split="test"))
    with pytest.raises(UsageError, match="expected files of the split test"):
        open_table(str(tmp_path / "hub"), Columns(split="test"))


def test_other_columns_and_a_single_caption(tmp_path: Path) -> None:
    texts = ["a", "b", "c", "d", ""]
    renamed = dataset(caption=texts).rename_columns({"image": "jpg", "caption": "txt"})
    renamed.save_to_disk(tmp_path / "t")
    table = open_table(str(tmp_path / "t"), Columns("jpg", "txt"))
    assert [sample.captions for sample in table.samples()] == [("a",), ("b",), ("c",), ("d",), ()]
    with pytest.raises(UsageError, match=r"expected a column 'image' in .*found jpg, txt, extra: pass --image-column"):
        open_table(str(tmp_path / "t"))


def test_pictures_that_lie_beside_the_table_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture(3))
    cells = [{"bytes": None, "path": str(tmp_path / name)} for name in ("a.png", "gone.png")]
    datasets.Dataset.from_dict({"image": cells, "caption": ["a", "b"]}).to_parquet(tmp_path / "t.parquet")
    there, gone = open_table(str(tmp_path / "t.parquet")).samples()
    assert there.picture == picture(3) and gone.lacks == "no picture"


def cut(path: str) -> str:
    content = Path(path).read_bytes()
    Path(path).write_bytes(content[: len(content) // 2])
    return path


def test_what_is_no_table_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.parquet").write_text("no parquet")
    wrong = [
        str(tmp_path / "empty"), str(tmp_path / "none.parquet"), str(tmp_path / "text.parquet"),
        cut(parquet(tmp_path)), cut(arrow(tmp_path)), "nobody/nothing", str(tmp_path / "none"),
    ]  # fmt: skip
    for source in wrong:
        with pytest.raises(XlxmertError, match=r"expected a table in .*found one that cannot be read") as caught:
            list(open_table(source).samples())
        assert "\n" not in str(caught.value) and source in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"caption": [1, 2, 3, 4, 5]}, "captions as texts or lists of them in column 'caption' .*found 1 in row 0"),
        ({"caption": [[1], [2], [3], [4], [5]]}, r"captions as texts .*found a list of 1 in row 0"),
    ],
)
def test_other_captions_are_one_line(tmp_path: Path, changes: dict[str, list[Any]], message: str) -> None:
    dataset(**changes).save_to_disk(tmp_path / "t")
    with pytest.raises(XlxmertError, match=message):
        list(open_table(str(tmp_path / "t")).samples())


def test_other_pictures_are_one_line(tmp_path: Path) -> None:
    datasets.Dataset.from_dict({"image": ["a.png"], "caption": ["a"]}).save_to_disk(tmp_path / "t")
    with pytest.raises(XlxmertError, match=r"pictures as an Image feature or .*found 'a\.png' in row 0: .*--image-col"):
        list(open_table(str(tmp_path / "t")).samples())


def test_without_the_library_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(XlxmertError, match=r"pip install 'xlxmert\[datasets\]'"):
        open_table(str(tmp_path))
