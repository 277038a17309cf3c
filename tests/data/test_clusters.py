"""X-LXMERT's codes and centroids: read as its script writes them, without running anything, and damage is one line."""

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xlxmert.core.errors import XlxmertError
from xlxmert.data.clusters import read_centroids, read_cluster_ids

INDEX = np.random.default_rng(0).integers(0, 10_000, (2 * 64, 1))
CODES = {name: INDEX[64 * i : 64 * i + 64].squeeze() for i, name in enumerate(["COCO_train2014_000000000009", "a"])}


def put(folder: Path, content: object) -> Path:
    path = folder / "codes.pkl"
    path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content))
    return path


@pytest.mark.parametrize("protocol", range(6))
def test_the_codes_of_the_script_are_read(tmp_path: Path, protocol: int) -> None:
    read = read_cluster_ids(put(tmp_path, pickle.dumps(CODES, protocol)), 10_000)
    assert list(read) == list(CODES)
    for name, row in read.items():
        assert row.dtype == np.uint16 and row.tolist() == CODES[name].tolist()


class Harm:
    def __reduce__(self) -> Any:
        return os.mkdir, ("harmed",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": Harm()}, "asks for posix.mkdir: nothing of it was run"),
        ({"a": np.arange(64.0)}, r"whole numbers for picture 'a' in .*found float64 \(64,\)"),
        ({"a": np.arange(64).reshape(8, 8)}, r"found int64 \(8, 8\)"),
        ({"a": list(range(64))}, "found a list of 64"),
        ({"a": np.arange(64), "b": np.arange(36)}, "expected 64 codes for picture 'b' .*found 36"),
        ({"a": np.full(64, 10_000)}, r"codes must be below 10000 \(found 10000 for 'a'"),
        ({"a": np.full(64, -1)}, r"found -1 for 'a'"),
        ({1.5: np.arange(64)}, "names of pictures .*found 1.5"),
        ({}, "codes by picture .*found an object with 0 members"),
        ([1], "found a list of 1"),
        (pickle.dumps(CODES)[:-20], "cannot be read to its end.*cut short"),
        (b"", "cannot be read to its end"),
    ],
)
def test_damaged_codes_are_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: object, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(XlxmertError, match=message) as caught:
        read_cluster_ids(put(tmp_path, content), 10_000)
    assert "\n" not in str(caught.value) and not (tmp_path / "harmed").exists()


def test_centroids_are_read_in_single_precision(tmp_path: Path) -> None:
    true = np.random.default_rng(0).random((7, 5))
    np.save(tmp_path / "c.npy", true)
    read = read_centroids(tmp_path / "c.npy")
    assert read.dtype == np.float32 and np.allclose(read, true)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.arange(5.0), r"centroids \(K, F\) as floats .*found float64 \(5,\)"),
        (np.zeros((4, 4), int), "found int64"),
        (np.zeros((0, 4)), r"found float64 \(0, 4\)"),
        (np.full((2, 2), np.nan), "numbers that are not finite"),
        (np.zeros((2**16 + 1, 1)), "found 65537 of them"),
        (np.array([[Harm()]], dtype=object), "cannot be read"),
    ],
)
def test_damaged_centroids_are_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, array: np.ndarray, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save(tmp_path / "c.npy", array)
    with pytest.raises(XlxmertError, match=message) as caught:
        read_centroids(tmp_path / "c.npy")
    assert "\n" not in str(caught.value) and not (tmp_path / "harmed").exists()


def test_other_files_are_one_clear_line(tmp_path: Path) -> None:
    np.save(tmp_path / "c.npy", np.zeros((100, 100)))
    whole = (tmp_path / "c.npy").read_bytes()
    for content in (whole[:-8], whole[:40], b"nothing", b"", pickle.dumps(CODES)):
        (tmp_path / "c.npy").write_bytes(content)
        with pytest.raises(XlxmertError, match=r"c\.npy, found a file that cannot be read .*download it again"):
            read_centroids(tmp_path / "c.npy")
    with pytest.raises(XlxmertError, match="found nothing: check the path"):
        read_centroids(tmp_path / "none.npy")
    np.savez(tmp_path / "c.npz", a=np.zeros((2, 2)))
    with pytest.raises(XlxmertError, match="found several arrays"):
        read_centroids(tmp_path / "c.npz")
