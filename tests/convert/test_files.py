"""Weight files of others: every kind is read by its first bytes, and whatever is wrong is one line."""

import json
import os
import pickle
from collections import OrderedDict
from pathlib import Path

import pytest
import torch

from xlxmert.convert.files import read_folder, read_weights, write_weights
from xlxmert.core.errors import XlxmertError
from xlxmert.core.files import write_tensors

STATE = {"module.a.weight": torch.randn(300, 7), "module.a.bias": torch.randn(7)}


class Code:
    """What a malicious file holds: a call instead of a value, here one that leaves a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.trace}",)


def assert_state(found: dict[str, torch.Tensor]) -> None:
    assert found.keys() == STATE.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in STATE.items())


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
def test_new_and_old_files_of_torch_are_read_wrapped_or_not(tmp_path: Path, zipped: bool, wrapper: str | None) -> None:
    content = OrderedDict(STATE) if wrapper is None else {wrapper: STATE, "epoch": 20, "optimizer": {"lr": 0.1}}
    torch.save(content, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    assert_state(read_weights(tmp_path / "a.pth"))


def test_the_first_bytes_tell_the_kind_and_not_the_name(tmp_path: Path) -> None:
    write_tensors(tmp_path / "really-safe.pth", STATE)
    assert_state(read_weights(tmp_path / "really-safe.pth"))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_weights(tmp_path / "deep" / "a.pth", STATE)
    assert_state(read_weights(tmp_path / "deep" / "a.pth"))
    again = tmp_path / "b.pth"
    write_weights(again, STATE)
    assert again.read_bytes() == (tmp_path / "deep" / "a.pth").read_bytes()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.97])
def test_a_file_that_is_cut_short_says_so(tmp_path: Path, zipped: bool, part: float) -> None:
    torch.save(STATE, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    content = (tmp_path / "a.pth").read_bytes()
    (tmp_path / "a.pth").write_bytes(content[: int(len(content) * part)])
    with pytest.raises(XlxmertError, match=r"a\.pth.* cut short"):
        read_weights(tmp_path / "a.pth")


def test_a_safetensors_file_that_is_cut_short_says_so(tmp_path: Path) -> None:
    write_tensors(tmp_path / "a.safetensors", STATE)
    content = (tmp_path / "a.safetensors").read_bytes()
    (tmp_path / "a.safetensors").write_bytes(content[:-100])
    with pytest.raises(XlxmertError, match="cut short"):
        read_weights(tmp_path / "a.safetensors")


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_is_refused_and_not_run(tmp_path: Path, zipped: bool) -> None:
    target = tmp_path / "code-was-run"
    torch.save({"a": Code(target)}, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(XlxmertError, match=r"would run code \(\w+\.system\): nothing of it was run"):
        read_weights(tmp_path / "a.pth")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "b.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(XlxmertError, match=r"would run code \(torch\.nn\.modules\.linear\.Linear\)"):
        read_weights(tmp_path / "b.pth")
    (tmp_path / "c.pth").write_bytes(pickle.dumps({"a": Code(target)}))
    with pytest.raises(XlxmertError, match="something else"):
        read_weights(tmp_path / "c.pth")
    assert not target.exists()


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "an empty file"),
        (b"<!DOCTYPE html>\n<html><title>404 Not Found</title></html>", "a web page"),
        (b"  <Error><Code>AccessDenied</Code></Error>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "git-lfs did not fetch"),
        (b'{"error": "not found"}', "something else"),
    ],
)
def test_what_is_no_file_of_weights_is_told(tmp_path: Path, content: bytes, found: str) -> None:
    (tmp_path / "G_60.pth").write_bytes(content)
    with pytest.raises(XlxmertError, match=found) as caught:
        read_weights(tmp_path / "G_60.pth")
    assert "download it again" in str(caught.value) and "\n" not in str(caught.value)


def test_a_folder_and_nothing_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(XlxmertError, match="found a folder: name the file in it"):
        read_weights(tmp_path)
    with pytest.raises(XlxmertError, match="found nothing"):
        read_weights(tmp_path / "nowhere.pth")


@pytest.mark.parametrize("content", [[torch.zeros(2)], {"lr": 0.1, "steps": 3}, {}, torch.zeros(3)])
def test_a_file_without_named_tensors_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(XlxmertError, match="expected tensors by name"):
        read_weights(tmp_path / "a.pth")


def test_a_folder_is_read_with_its_config(tmp_path: Path) -> None:
    with pytest.raises(XlxmertError, match=r"model\.safetensors or pytorch_model\.bin in .*, found neither"):
        read_folder(tmp_path)
    torch.save({"a": torch.ones(2)}, tmp_path / "pytorch_model.bin")
    with pytest.raises(XlxmertError, match=r"config\.json, found nothing"):
        read_folder(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    state, config = read_folder(tmp_path)
    assert config == {"model_type": "bert"} and torch.equal(state["a"], torch.ones(2))
    write_tensors(tmp_path / "model.safetensors", {"b": torch.zeros(1)})
    assert list(read_folder(tmp_path)[0]) == ["b"]
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(XlxmertError, match="expected the config of a model"):
        read_folder(tmp_path)
    with pytest.raises(XlxmertError, match="expected a folder of the transformers library"):
        read_folder(tmp_path / "model.safetensors")
