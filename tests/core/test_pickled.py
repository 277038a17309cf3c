"""Pickles of plain values: what numpy writes is read, whatever would run is refused before it does."""

import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xlxmert.core.errors import XlxmertError
from xlxmert.core.pickled import read_plain_pickle

VALUES = {
    "codes": np.arange(64),
    "columns": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    "wide": np.array([1.5], dtype=">f8"),
    "flags": np.array([True, False]),
    "none": np.zeros((0, 3), np.uint16),
    "number": np.int64(7),
    "plain": [1, 2.5, "ü", None, (True, b"\x00\xff"), {3}],
}


@pytest.mark.parametrize("protocol", range(6))
def test_what_numpy_writes_is_read(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "values.pkl"
    path.write_bytes(pickle.dumps(OrderedDict(VALUES), protocol))
    read = read_plain_pickle(path)
    assert list(read) == list(VALUES) and read["plain"] == VALUES["plain"] and read["number"] == 7
    for name in ("codes", "columns", "wide", "flags", "none"):
        true: Any = VALUES[name]
        assert isinstance(read[name], np.ndarray) and read[name].shape == true.shape
        assert read[name].tolist() == true.tolist() and read[name].dtype == true.dtype.newbyteorder("=")


def test_a_pickle_of_python_2_is_read(tmp_path: Path) -> None:
    path = tmp_path / "old.pkl"
    # {'a': numpy.array([1, 258], '<i2')} as Python 2 writes it
    path.write_bytes(
        b"(dp0\nS'a'\np1\ncnumpy.core.multiarray\n_reconstruct\np2\n(cnumpy\nndarray\np3\n(I0\ntp4\nS'b'\np5\ntp6\nRp7\n"
        b"(I1\n(I2\ntp8\ncnumpy\ndtype\np9\n(S'i2'\np10\nI0\nI1\ntp11\nRp12\n(I3\nS'<'\np13\nNNNI-1\nI-1\nI0\ntp14\nbI00\n"
        b"S'\\x01\\x00\\x02\\x01'\np15\ntp16\nbs."
    )
    assert read_plain_pickle(path)["a"].tolist() == [1, 258]


class Calls:
    """Calls a function when it is unpickled."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> Any:
        return self.function, self.arguments


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (Calls(os.mkdir, "harmed"), r"asks for posix\.mkdir"),
        (Calls(eval, "open('harmed', 'w')"), r"asks for builtins\.eval"),
        (Calls(getattr, "a", "upper"), r"asks for builtins\.getattr"),
        (Calls(np.load, "x"), "asks for numpy"),
        ([Path("x")], "asks for pathlib"),
        (np.array([{}], dtype=object), "an array of the type 'O8'"),
        (np.zeros(2, [("a", "i4")]), "an array of the type 'V4'"),
        (np.array(["a"]), "an array of the type 'U1'"),
        (np.dtype("i4"), "a name where a value should be"),
        (np.ndarray, "a name where a value should be"),
        (np.datetime64("2020-01-01"), "an array of the type 'M8'"),
        (1j, r"asks for builtins\.complex"),
    ],
)
@pytest.mark.parametrize("protocol", [2, 5])
def test_what_would_run_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: Any, message: str, protocol: int
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "bad.pkl"
    path.write_bytes(pickle.dumps({"x": content}, protocol))
    message = message.replace("builtins", "(builtins|__builtin__)")
    with pytest.raises(XlxmertError, match=message) as caught:
        read_plain_pickle(path)
    assert "\n" not in str(caught.value) and not (tmp_path / "harmed").exists()


@pytest.mark.parametrize(
    "program",
    [
        b"cnumpy\ndtype\n(N}S'x'\nI1\nstb.",  # sets an attribute of the maker itself
        b"cnumpy\ndtype\n}S'x'\nI1\nsb.",
        b"cnumpy.core.multiarray\n_reconstruct\n(tR.",  # an array without numbers
        b"cnumpy\nndarray\n(I9\ntR.",
        b"cos\nsystem\n(S'touch harmed'\ntR.",
        b"(Posomething\n.",
    ],
)
def test_programs_that_numpy_never_writes_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: bytes
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "bad.pkl"
    path.write_bytes(program)
    with pytest.raises(XlxmertError, match=r"bad\.pkl"):
        read_plain_pickle(path)
    assert [each.name for each in tmp_path.iterdir()] == ["bad.pkl"]


def test_a_cut_pickle_and_other_files_are_one_clear_line(tmp_path: Path) -> None:
    whole = pickle.dumps(VALUES)
    path = tmp_path / "cut.pkl"
    for content in (whole[:-10], whole[: len(whole) // 2], b"", b"{}"):
        path.write_bytes(content)
        with pytest.raises(XlxmertError, match=r"cut\.pkl.*cannot be read to its end.*download it again") as caught:
            read_plain_pickle(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(XlxmertError, match=r"none\.pkl, found nothing"):
        read_plain_pickle(tmp_path / "none.pkl")
    loop: list[Any] = []
    loop.append(loop)
    path.write_bytes(pickle.dumps(loop))
    with pytest.raises(XlxmertError, match="RecursionError"):
        read_plain_pickle(path)
