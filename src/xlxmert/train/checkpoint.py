"""Checkpoints of a run: folders that are either whole or not there, a pointer to the latest, and the way back."""

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from xlxmert.core.errors import XlxmertError
from xlxmert.core.files import read_json, read_tensors, write_json, write_tensors, write_text

POINTER = "latest"
STATE = "state.json"


def step_of(folder: Path) -> int:
    """The step in a checkpoint's folder name; -1 if it is no such name."""
    found = re.fullmatch(r"step-(\d{6,})", folder.name)
    return int(found[1]) if found else -1


def checkpoints(root: Path) -> list[Path]:
    """The whole checkpoints under ``root``, oldest first; partial folders are not among them."""
    folders = root.glob("step-*") if root.is_dir() else ()
    return sorted((f for f in folders if step_of(f) >= 0 and (f / STATE).is_file()), key=step_of)


def latest(root: Path) -> Path | None:
    """The checkpoint that the pointer names, else the newest whole one, else none."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        pointed = root / (root / POINTER).read_text(encoding="utf-8").strip()
        if pointed in checkpoints(root):
            return pointed
    whole = checkpoints(root)
    return whole[-1] if whole else None


def clean(root: Path) -> None:
    """Remove what a killed run left half written."""
    for part in [*root.glob(".step-*.part"), *root.glob(f".{POINTER}.*.part"), *root.parent.glob(".*.jsonl.*.part")]:
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)


def write(
    root: Path, step: int, tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any], keep: int
) -> Path:
    """Write ``root/step-<step>`` (safetensors by name, ``state.json``) as a whole, point to it, drop all but ``keep``.

    Raises:
        XlxmertError: the disk is full or the folder cannot be written; earlier checkpoints are as they were.
    """
    folder = root / f"step-{step:06d}"
    part = _part(folder)
    try:
        part.mkdir(parents=True)
        for name, content in tensors.items():
            write_tensors(part / f"{name}.safetensors", *without_aliases(content))
        write_json(part / STATE, {"step": step, **state})
        _flush(part)
        if folder.exists():
            folder.rename(_part(folder))
        part.rename(folder)
        _flush(root)
        write_text(root / POINTER, folder.name + "\n")
    except (XlxmertError, OSError) as error:
        shutil.rmtree(part, ignore_errors=True)
        raise XlxmertError(_failure(root, step, error)) from error
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    prune(root, keep)
    return folder


def prune(root: Path, keep: int) -> None:
    """Drop all but the newest ``keep`` checkpoints and the one pointed to; a half dropped one never looks whole."""
    pointed = latest(root)
    for folder in checkpoints(root)[:-keep]:
        if folder != pointed:
            with contextlib.suppress(OSError):
                shutil.rmtree(folder.rename(_part(folder)), ignore_errors=True)
    clean(root)


def load_state(folder: Path) -> dict[str, Any]:
    """The ``state.json`` of a checkpoint."""
    state: dict[str, Any] = read_json(folder / STATE)
    return state


def load_module(source: Path, module: nn.Module) -> None:
    """Read a safetensors file into a module, every tensor of it and nothing else.

    Raises:
        XlxmertError: tensors are missing, unexpected or misshapen; the message names them.
    """
    tensors, metadata = read_tensors(source)
    whole = {**tensors, **{alias: tensors[name] for alias, name in metadata.items() if name in tensors}}
    wanted = module.state_dict()
    wrong = [f"missing {name}" for name in wanted if name not in whole]
    wrong += [f"unexpected {name}" for name in whole if name not in wanted]
    wrong += [
        f"{name} of shape {tuple(whole[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in whole and whole[name].shape != tensor.shape
    ]
    if wrong:
        found = "; ".join(wrong)
        raise XlxmertError(f"expected the weights of this {type(module).__name__} in {source}, found: {found}")
    module.load_state_dict(whole)


def without_aliases(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors with tied ones held once, and the dropped names with the name that stands for each."""
    first: dict[Any, str] = {}
    kept: dict[str, Tensor] = {}
    aliases: dict[str, str] = {}
    for name, tensor in tensors.items():
        place = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype) if tensor.numel() else name
        if first.setdefault(place, name) == name:
            kept[name] = tensor
        else:
            aliases[name] = first[place]
    return kept, aliases


def _part(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.part")


def _flush(folder: Path) -> None:
    with contextlib.suppress(OSError):  # some systems cannot flush a folder; its files are flushed already
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _failure(root: Path, step: int, error: Exception) -> str:
    cause = error.__cause__ or error
    reason = os.strerror(cause.errno) if isinstance(cause, OSError) and cause.errno else str(cause)
    last = latest(root)
    before = f"the checkpoint of step {step_of(last)} is whole" if last else "no earlier checkpoint was there"
    return (
        f"could not write the checkpoint of step {step} in {root}: {reason}; {before}: "
        "free some space or mend the folder, then run the same command again to go on"
    )
