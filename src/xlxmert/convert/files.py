"""Weight files of others, read without running anything in them: torch's ``.pth`` and ``.bin``, and safetensors."""

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch

from xlxmert.convert.table import State, some
from xlxmert.core.axes import Tensor
from xlxmert.core.errors import XlxmertError
from xlxmert.core.files import atomic_path, read_json, read_tensors

WRAPPERS = ("state_dict", "model")
"""Names under which trainings keep the weights beside other things."""
FOLDER_FILES = ("model.safetensors", "pytorch_model.bin")
"""Where a folder of the `transformers` library keeps its weights, the first that is there."""
LONGEST_HEADER = 100_000_000
"""Bytes of a safetensors header, by its specification."""
Kind = Literal["safetensors", "zip", "pickle"]


def read_weights(path: Path) -> State:
    """The tensors of a file, by the names that it gives them; large files are mapped, not copied, where they can be.

    What kind of file it is, its first bytes tell. Weights that lie under ``state_dict`` or ``model`` are unwrapped.

    Raises:
        XlxmertError: there is no such file, it is cut short, holds code, or is something else altogether.
    """
    path = Path(path)
    kind = _kind(path)
    content = read_tensors(path)[0] if kind == "safetensors" else _load(path, mapped=kind == "zip")
    return _tensors(content, path)


def read_folder(folder: Path) -> tuple[State, dict[str, Any]]:
    """The tensors and the config of a folder that the `transformers` library wrote.

    Raises:
        XlxmertError: it is no such folder, or a file in it is damaged.
    """
    folder = Path(folder)
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        raise XlxmertError(f"expected a folder of the transformers library at {folder}, found {found}: check the path")
    files = [folder / name for name in FOLDER_FILES if (folder / name).is_file()]
    if not files:
        raise XlxmertError(
            f"expected {' or '.join(FOLDER_FILES)} in {folder}, found neither: download all files of the model"
        )
    config = read_json(folder / "config.json")
    if not isinstance(config, dict):
        raise XlxmertError(f"expected the config of a model in {folder / 'config.json'}, found {type(config).__name__}")
    return read_weights(files[0]), config


def write_weights(path: Path, state: Mapping[str, Tensor]) -> None:
    """Write a state as ``torch.save`` does, whole or not at all."""
    with atomic_path(path) as part, part.open("wb") as stream:
        torch.save({name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}, stream)


def _kind(path: Path) -> Kind:
    """What kind of file this is."""
    if path.is_dir():
        raise XlxmertError(f"expected a file of weights at {path}, found a folder: name the file in it")
    try:
        with path.open("rb") as stream:
            head = stream.read(512)
    except FileNotFoundError as error:
        raise XlxmertError(f"expected a file of weights at {path}, found nothing: check the path") from error
    except OSError as error:
        raise XlxmertError(f"could not read {path}: {error.strerror}") from error
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= LONGEST_HEADER:
        return "safetensors"
    if head.startswith(b"PK\x03\x04"):
        return "zip"
    if head.startswith(b"\x80"):
        return "pickle"
    raise XlxmertError(f"expected a file of weights at {path}, found {_what(head)}: download it again")


def _what(head: bytes) -> str:
    """What a file that holds no weights begins like."""
    if not head:
        return "an empty file"
    if head.lstrip().startswith(b"<"):
        return "a web page, such as a failed download leaves"
    if head.startswith(b"version https://git-lfs"):
        return "the pointer of a file that git-lfs did not fetch"
    return "something else"


def _load(path: Path, mapped: bool) -> Any:
    """The content of a file of ``torch.save``; anything but plain containers of tensors is refused unread."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old types of storage and old pickles, which read well
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # torch, zip and pickle raise many types
        text = str(error)
        code = re.search(r"(?:Unsupported global: GLOBAL|unsupported GLOBAL|Unsupported class) (\S+)", text)
        if code:
            raise XlxmertError(
                f"expected plain tensors in {path}, found a pickle that would run code ({code[1]}): nothing of it was "
                "run; ask for the bare state dict, or for safetensors"
            ) from error
        raise XlxmertError(
            f"expected a file of torch.save at {path}, found one that cannot be read to its end: it is cut short or "
            "something else; download it again"
        ) from error


def _tensors(content: Any, path: Path) -> State:
    """The tensors in what was read."""
    for name in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
    if not isinstance(content, Mapping):
        raise XlxmertError(
            f"expected tensors by name in {path}, found a {type(content).__name__}: is this a file of weights?"
        )
    others = [str(name) for name, value in content.items() if not isinstance(value, Tensor)]
    if others or not content:
        found = f"other things ({some(others, 5)})" if others else "none"
        raise XlxmertError(f"expected tensors by name in {path}, found {found}: is this a file of weights?")
    return {str(name): tensor for name, tensor in content.items()}
