"""A disk that fills up while published features, shards or tables come in: one line, nothing torn, and it goes on."""

import io
import pickle
import resource
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xlxmert.core.errors import XlxmertError
from xlxmert.data.features import SeenPicture
from xlxmert.data.pretraining import ToldPicture, write_pretraining
from xlxmert.data.tables import open_table
from xlxmert.data.tsv_features import write_tsv_features
from xlxmert.recipes.mixture import mix
from xlxmert.recipes.picture_sources import PictureSources
from xlxmert.recipes.unpack import unpack, unpack_table

NAMES = [f"picture {number}" for number in range(4)]


@contextmanager
def small_files(most: int) -> Iterator[None]:
    """No file may grow beyond ``most`` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def features(folder: Path) -> PictureSources:
    """18,432 bytes of them in half precision."""
    rng = np.random.default_rng(0)
    box, no = np.array([[0, 0, 1, 1], [0, 0, 0.5, 1], [0, 0, 1, 0.5]], np.float32), np.zeros(3, np.int64)
    seen = [SeenPicture(name, rng.random((3, 768), np.float32), box, no, None, no) for name in NAMES]
    write_tsv_features(folder / "a.tsv", ((each, 640, 480) for each in seen))
    return PictureSources(tsv=(folder / "a.tsv",))


def codes(folder: Path) -> PictureSources:
    """Few codes, with 80,000 bytes of centroids."""
    np.save(folder / "c.npy", np.random.default_rng(0).random((20, 1000)).astype(np.float32))
    (folder / "c.pkl").write_bytes(pickle.dumps({name: np.arange(4) for name in NAMES}))
    return PictureSources(clusters=(folder / "c.pkl",), centroids=folder / "c.npy")


@pytest.mark.parametrize(
    ("made", "most"),
    [(features, 6000), (features, 10_000), (features, 18_000), (features, 18_500), (codes, 40_000)],
    ids=["a row", "rows", "the last rows", "the store", "the centroids"],
)
def test_published_features_and_codes(made: Callable[[Path], PictureSources], most: int, tmp_path: Path) -> None:
    write_pretraining(tmp_path / "told.json", [ToldPicture(name, {"mscoco": ("a red car",)}) for name in NAMES])
    sources = made(tmp_path)
    with small_files(most), pytest.raises(XlxmertError, match=r"could not write .*File too large.*free some space"):
        mix(tmp_path / "store", (tmp_path / "told.json",), sources)
    assert not (tmp_path / "store").exists() and not (tmp_path / ".store.rows").exists()
    assert mix(tmp_path / "store", (tmp_path / "told.json",), sources).store.size == 4
    assert not [each for each in tmp_path.iterdir() if each.name.startswith(".")]


def noise(number: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(number).integers(0, 255, (64, 64, 3), np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def test_shards(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        for name, content in (("0.png", noise(0)), ("0.txt", b"a"), ("1.png", noise(1)), ("1.txt", b"b")):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    with small_files(5000), pytest.raises(XlxmertError, match=r"could not write .*0\.png: File too large: free some"):
        unpack((tmp_path / "a.tar",), tmp_path / "out")
    assert unpack((tmp_path / "a.tar",), tmp_path / "out").pictures == 2
    assert (tmp_path / "out/images/a/0.png").read_bytes() == noise(0)


def test_tables(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    rows = {"image": [noise(0), noise(1)], "caption": ["a", "b"]}
    datasets.Dataset.from_dict(rows).to_parquet(tmp_path / "t.parquet")
    table = open_table(str(tmp_path / "t.parquet"))
    with small_files(5000), pytest.raises(XlxmertError, match=r"could not write .*0\.png: File too large: free some"):
        unpack_table(table, tmp_path / "out")
    assert unpack_table(table, tmp_path / "out").pictures == 2
    assert (tmp_path / "out/images/t-000000/00000001.png").read_bytes() == noise(1)
