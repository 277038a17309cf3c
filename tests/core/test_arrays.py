"""Arrays that outgrow memory: the file is what safetensors reads, rows come back as they were added."""

import os
from pathlib import Path

import numpy as np
import pytest

from xlxmert.core import arrays
from xlxmert.core.arrays import OnDisk, Pieces, Rows, map_arrays, pieces, write_arrays
from xlxmert.core.errors import XlxmertError
from xlxmert.core.files import read_tensors


def example() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "bytes": rng.integers(0, 9, 5).astype(np.uint8),
        "codes": rng.integers(0, 9, (7, 3)).astype(np.uint16),
        "features": rng.random((7, 3, 4)).astype(np.float16),
        "boxes": rng.random((7, 3, 4)).astype(np.float32),
        "offsets": np.arange(8),
        "none": np.zeros((0, 4), np.float32),
        "number": np.array(5, np.uint32),
        "turned": np.asfortranarray(rng.random((5, 6)).astype(np.float32)),
    }


@pytest.mark.parametrize("piece", [1, 10, 2**26])
def test_safetensors_reads_what_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    monkeypatch.setattr(arrays, "PIECE", piece)
    true = example()
    write_arrays(tmp_path / "a.safetensors", true, {"made": "here"})
    read, metadata = read_tensors(tmp_path / "a.safetensors")
    assert metadata == {"made": "here"} and set(read) == set(true)
    for name, array in true.items():
        assert read[name].numpy().dtype == array.dtype and read[name].tolist() == array.tolist()


def test_other_types_are_refused_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(XlxmertError, match=r"expected a as one of U8, .*, found float64"):
        write_arrays(tmp_path / "a.safetensors", {"a": np.zeros(3)})
    assert not list(tmp_path.iterdir())


def test_rows_come_back_as_they_were_added(tmp_path: Path) -> None:
    true = example()
    with Rows(tmp_path / "rows") as rows:
        for row in range(7):
            rows.add(codes=true["codes"][row], features=true["features"][row])
        found = rows.arrays()
        assert isinstance(found["features"], np.memmap)
        assert (found["codes"] == true["codes"]).all() and (found["features"] == true["features"]).all()
        write_arrays(tmp_path / "a.safetensors", found)
    assert read_tensors(tmp_path / "a.safetensors")[0]["codes"].tolist() == true["codes"].tolist()
    assert [each.name for each in tmp_path.iterdir()] == ["a.safetensors"]


def test_rows_of_another_kind_are_refused(tmp_path: Path) -> None:
    with Rows(tmp_path / "rows") as rows:
        rows.add(codes=np.zeros(3, np.uint16))
        wrong = (
            {"codes": np.zeros(4, np.uint16)}, {"codes": np.zeros(3, np.int64)}, {"boxes": np.zeros(3, np.uint16)}, {},
        )  # fmt: skip
        for row in wrong:
            with pytest.raises(XlxmertError, match=r"expected rows of codes uint16 \(3,\), found .*after 1 of them"):
                rows.add(**row)
    (tmp_path / "file").write_text("")
    with pytest.raises(XlxmertError, match="could not write"), Rows(tmp_path / "file" / "rows"):
        pass


def test_pieces_are_written_as_the_array_that_they_make_up(tmp_path: Path) -> None:
    whole = example()["features"]
    cut = Pieces(whole.dtype, whole.shape, lambda: iter((whole[:3], whole[3:3], whole[3:])))
    assert len(cut) == 7 and cut.nbytes == whole.nbytes and np.array_equal(np.concatenate(list(pieces(cut))), whole)
    write_arrays(tmp_path / "a.safetensors", {"features": whole, "codes": example()["codes"]})
    write_arrays(tmp_path / "b.safetensors", {"features": cut, "codes": example()["codes"]})
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


@pytest.mark.parametrize("wrong", [(slice(0, 3),), (slice(0, 7), slice(0, 1))])
def test_pieces_of_another_length_are_refused_and_nothing_is_left(tmp_path: Path, wrong: tuple[slice, ...]) -> None:
    whole = example()["features"]
    cut = Pieces(whole.dtype, whole.shape, lambda: iter([whole[part] for part in wrong]))
    with pytest.raises(XlxmertError, match="expected pieces of"):
        write_arrays(tmp_path / "a.safetensors", {"features": cut})
    assert not list(tmp_path.iterdir())


def test_what_is_mapped_is_what_was_written(tmp_path: Path) -> None:
    true = example()
    write_arrays(tmp_path / "a.safetensors", true, {"made": "here"})
    read, metadata = map_arrays(tmp_path / "a.safetensors")
    assert metadata == {"made": "here"} and set(read) == set(true)
    for name, array in true.items():
        assert read[name].dtype == array.dtype and np.array_equal(read[name], array) and not read[name].flags.writeable


def test_files_that_cannot_be_mapped_are_named(tmp_path: Path) -> None:
    write_arrays(tmp_path / "a.safetensors", example())
    whole = (tmp_path / "a.safetensors").read_bytes()
    for content in (b"", whole[:5], whole[:60], whole[:-1], b"{" * 400, b"\2" + bytes(7) + b"[]", bytes(50)):
        (tmp_path / "a.safetensors").write_bytes(content)
        with pytest.raises(XlxmertError, match=r"a\.safetensors.*cut short; do this"):
            map_arrays(tmp_path / "a.safetensors", "do this")
    with pytest.raises(XlxmertError, match=r"none\.safetensors"):
        map_arrays(tmp_path / "none.safetensors")


def test_rows_of_large_files_are_read_and_nothing_else_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "LARGE", 0)
    true = example()
    write_arrays(tmp_path / "a.safetensors", true)
    read, _ = map_arrays(tmp_path / "a.safetensors")
    assert all(isinstance(array, OnDisk) for array in read.values())
    for places in ([0], [6, 0, 3, 4, 5, 5], [[1, 2], [6, 6]], [], [-1, 2], [[[0]]]):
        chosen = np.array(places, np.int64)
        for name in ("codes", "features", "boxes", "offsets"):
            found = read[name][chosen]
            assert found.dtype == true[name].dtype and np.array_equal(found, true[name][chosen])
            assert type(found) is np.ndarray
    assert type(read["codes"][2:4]) is np.ndarray and read["codes"][2:4].tolist() == true["codes"][2:4].tolist()
    assert read["boxes"][:, 0, 1].tolist() == true["boxes"][:, 0, 1].tolist() and int(read["codes"].max()) < 9
    mask = true["codes"] > 3
    assert read["codes"][mask].tolist() == true["codes"][mask].tolist() and int(read["offsets"][3]) == 3
    with pytest.raises(IndexError):
        read["codes"][np.array([7])]


def test_random_rows_of_large_files_are_not_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "LARGE", 2**20)
    true = np.arange(2**22, dtype=np.uint32)
    write_arrays(tmp_path / "a.safetensors", {"large": true})
    before, read = _mapped_bytes(), map_arrays(tmp_path / "a.safetensors")[0]["large"]
    chosen = np.random.default_rng(0).integers(0, len(true), 5000)
    assert np.array_equal(read[chosen], true[chosen])
    assert _mapped_bytes() - before < 2**21
    assert np.array_equal(read[:], true) and _mapped_bytes() - before > 2**23


def test_a_large_file_that_is_cut_while_it_is_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "LARGE", 0)
    write_arrays(tmp_path / "a.safetensors", {"codes": np.zeros((5000, 8), np.uint16)})
    read = map_arrays(tmp_path / "a.safetensors")[0]["codes"]
    os.truncate(tmp_path / "a.safetensors", 4096)
    with pytest.raises(XlxmertError, match=r"expected 5000 rows in .*a\.safetensors, found fewer"):
        read[np.array([4999])]


def _mapped_bytes() -> int:
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    except OSError:
        pytest.skip("this system does not tell what is mapped")
    return int(lines["RssFile"].split()[0]) * 1024
