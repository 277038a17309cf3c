"""Checkpoints are whole or not there, whatever happens while one is written."""

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_task import TinyTask, settings
from torch import nn

from xlxmert.core import files
from xlxmert.core.errors import XlxmertError
from xlxmert.train import checkpoint, train

TENSORS = {"model": {"weight": torch.arange(6.0).reshape(2, 3)}}


def names(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir())


def test_old_checkpoints_go_once_the_new_one_is_whole(tmp_path: Path) -> None:
    for step in (1, 2, 3, 4):
        checkpoint.write(tmp_path, step, TENSORS, {}, keep=2)
    assert names(tmp_path) == ["latest", "step-000003", "step-000004"]
    assert (tmp_path / "latest").read_text() == "step-000004\n"
    assert checkpoint.load_state(tmp_path / "step-000004") == {"step": 4}


def test_a_step_written_again_replaces_the_folder(tmp_path: Path) -> None:
    checkpoint.write(tmp_path, 1, TENSORS, {"try": 1}, keep=2)
    folder = checkpoint.write(tmp_path, 1, TENSORS, {"try": 2}, keep=2)
    assert checkpoint.load_state(folder)["try"] == 2 and names(tmp_path) == ["latest", "step-000001"]


def test_partial_folders_are_ignored_and_cleaned(tmp_path: Path) -> None:
    checkpoint.write(tmp_path, 1, TENSORS, {}, keep=2)
    (tmp_path / ".step-000009.abcd.part").mkdir()
    (tmp_path / "step-000010").mkdir()  # no state.json: nothing of ours, or half deleted by hand
    assert checkpoint.latest(tmp_path) == tmp_path / "step-000001"
    checkpoint.clean(tmp_path)
    assert names(tmp_path) == ["latest", "step-000001", "step-000010"]


def test_without_a_usable_pointer_the_newest_whole_folder_counts(tmp_path: Path) -> None:
    assert checkpoint.latest(tmp_path / "nowhere") is None
    for step in (9, 1_000_000):
        checkpoint.write(tmp_path, step, TENSORS, {}, keep=2)
    (tmp_path / "latest").write_text("step-000009\n")
    assert checkpoint.latest(tmp_path) == tmp_path / "step-000009"
    for text in ("step-000042\n", "", "../elsewhere"):
        (tmp_path / "latest").write_text(text)
        assert checkpoint.latest(tmp_path) == tmp_path / "step-1000000"


@pytest.mark.parametrize("allowed", range(6))
def test_a_full_disk_at_any_file_leaves_the_earlier_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: int
) -> None:
    train(TinyTask(), settings(tmp_path, steps=3))
    before = {path: path.read_bytes() for path in (tmp_path / "checkpoints").rglob("*") if path.is_file()}
    flush, count = os.fsync, 0

    def full(handle: int) -> None:
        nonlocal count
        count += 1
        if count > allowed + 2:  # the curve's two files come first
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        flush(handle)

    monkeypatch.setattr(os, "fsync", full)
    message = r"step 6 in .*: No space left on device; the checkpoint of step 3 is whole: free"
    with pytest.raises(XlxmertError, match=message):
        train(TinyTask(), settings(tmp_path, steps=6))
    monkeypatch.setattr(os, "fsync", flush)
    assert {path: path.read_bytes() for path in (tmp_path / "checkpoints").rglob("*") if path.is_file()} == before
    assert train(TinyTask(), settings(tmp_path, steps=6)).step == 6


def test_a_curve_that_cannot_be_written_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    tmp_path.joinpath("curve.jsonl").symlink_to("/dev/full")
    with pytest.raises(XlxmertError, match=r"could not write step 3 to .*curve.jsonl: No space left.*free some space"):
        train(TinyTask(), settings(tmp_path))


def test_any_other_error_leaves_no_partial_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "write_json", broken)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.write(tmp_path, 1, TENSORS, {}, keep=1)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("0.bias"), "missing 0.bias"),
        (lambda t: t.update({"9.bias": torch.zeros(1)}), "unexpected 9.bias"),
        (lambda t: t.update({"0.bias": torch.zeros(7)}), r"0.bias of shape \(7,\) instead of \(3,\)"),
    ],
)
def test_loading_names_every_weight_that_does_not_fit(tmp_path: Path, change: Any, message: str) -> None:
    module = nn.Sequential(nn.Linear(2, 3))
    tensors = dict(module.state_dict())
    change(tensors)
    files.write_tensors(tmp_path / "m.safetensors", tensors)
    with pytest.raises(XlxmertError, match=message):
        checkpoint.load_module(tmp_path / "m.safetensors", module)


def test_tied_weights_are_written_once_and_come_back_tied(tmp_path: Path) -> None:
    def tied() -> nn.ModuleDict:
        words, head = nn.Embedding(5, 2), nn.Linear(2, 5, bias=False)
        head.weight = words.weight
        return nn.ModuleDict({"words": words, "head": head})

    one, other = tied(), tied()
    folder = checkpoint.write(tmp_path, 1, {"m": one.state_dict()}, {}, keep=1)
    assert list(files.read_tensors(folder / "m.safetensors")[0]) == ["words.weight"]
    checkpoint.load_module(folder / "m.safetensors", other)
    assert torch.equal(other.state_dict()["head.weight"], one.state_dict()["words.weight"])
    assert len(list(other.parameters())) == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 128 KiB; skips where mounting is not allowed."""
    disk = tmp_path / "disk"
    disk.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "none", str(disk)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs the right to mount a file system")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.slow
def test_a_disk_that_is_really_full_loses_nothing(small_disk: Path, tmp_path: Path) -> None:
    train(TinyTask(), settings(tmp_path / "whole"))
    with pytest.raises(XlxmertError, match=r"No space left on device.*the checkpoint of step 1?[0-9] is whole"):
        train(TinyTask(), settings(small_disk / "run", save_every=1, keep=100))
    root = small_disk / "run" / "checkpoints"
    assert checkpoint.latest(root) == checkpoint.checkpoints(root)[-1] and not list(root.glob(".*.part"))
    for folder in checkpoint.checkpoints(root)[:-1]:
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    train(TinyTask(), settings(small_disk / "run", keep=1))
    lines = [(run / "curve.jsonl").read_bytes() for run in (small_disk / "run", tmp_path / "whole")]
    assert lines[0] == lines[1]
