"""Pickles of arrays: read in every protocol; whatever else they hold is refused before anything of it runs."""

import os
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from xlxmert.convert.pickled import holds_pickle, read_pickle
from xlxmert.core.errors import XlxmertError

ARRAYS = {
    "a.weight": np.arange(12, dtype=np.float32).reshape(3, 4),
    "a.half": np.ones((2, 2), np.float16),
    "a.turned": np.arange(6, dtype=np.float64).reshape(2, 3).T,
    "a.count": np.array(7, dtype=np.int64),
    "a.big": np.arange(3, dtype=">i4"),
}


class Code:
    """What a malicious file holds: a call instead of a value, here one that leaves a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.trace}",)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("wrapped", [True, False])
def test_arrays_are_read(tmp_path: Path, protocol: int, wrapped: bool) -> None:
    content = {"model": OrderedDict(ARRAYS), "__author__": "x", "step": np.float32(2)} if wrapped else ARRAYS
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    assert holds_pickle(path)
    found = read_pickle(path)
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert found[name].numpy().tolist() == array.tolist() and found[name].shape == array.shape
    assert found["a.weight"].dtype == torch.float32 and found["a.half"].dtype == torch.float16


def test_arrays_of_an_old_python_are_read(tmp_path: Path) -> None:
    content = pickle.dumps({"a": np.array([1.5, -2], dtype=np.float32)}, protocol=2)
    old = content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert b"numpy.core.multiarray" in old
    (tmp_path / "a.pkl").write_bytes(old)
    assert read_pickle(tmp_path / "a.pkl")["a"].tolist() == [1.5, -2]


@pytest.mark.parametrize("protocol", [2, 4])
def test_code_is_refused_and_not_run(tmp_path: Path, protocol: int) -> None:
    trace, path = tmp_path / "code-was-run", tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps({"model": {"a": Code(trace)}}, protocol=protocol))
    with pytest.raises(XlxmertError, match=r"asks for \w+\.system: nothing of it was run"):
        read_pickle(path)
    assert not trace.exists()


@pytest.mark.parametrize(
    "value",
    [np.array([{"a": 1}], dtype=object), np.array(["text"]), np.ma.masked_array([1.0]), torch.zeros(2), Path("a")],
    ids=["objects", "text", "masked", "tensor", "path"],
)
def test_other_arrays_and_classes_are_refused(tmp_path: Path, value: object) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"a": value}))
    with pytest.raises(XlxmertError, match="asks for"):
        read_pickle(tmp_path / "a.pkl")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "found a list"),
        ({}, "found none"),
        ({"a": ARRAYS["a.big"], "lr": 0.1}, r"found other things \(lr\)"),
    ],
)
def test_what_holds_no_weights_is_told(tmp_path: Path, content: object, message: str) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(XlxmertError, match=message):
        read_pickle(tmp_path / "a.pkl")


def test_a_file_that_is_cut_short_says_so(tmp_path: Path) -> None:
    content = pickle.dumps(ARRAYS)
    (tmp_path / "a.pkl").write_bytes(content[: len(content) // 2])
    with pytest.raises(XlxmertError, match="cut short"):
        read_pickle(tmp_path / "a.pkl")


def test_files_of_torch_are_no_bare_pickles(tmp_path: Path) -> None:
    for zipped in (True, False):
        torch.save({"a": torch.zeros(2)}, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
        assert not holds_pickle(tmp_path / "a.pth")
    assert not holds_pickle(tmp_path / "nowhere") and not holds_pickle(tmp_path)
