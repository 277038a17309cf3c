"""Where a checkpoint lies: in a folder, in the package, or on the Hugging Face hub."""

import re
from importlib import resources
from pathlib import Path

from xlxmert.core.errors import UsageError, XlxmertError

CONFIG, CARD, MODEL, CODEBOOK = "config.json", "README.md", "model.safetensors", "codebook.safetensors"
GENERATOR, TOKENIZER, ANSWERS = "generator.safetensors", "tokenizer.json", "answers.json"
FILES = (CONFIG, CARD, MODEL, CODEBOOK, GENERATOR, TOKENIZER, ANSWERS)
"""What a checkpoint's folder may hold."""
TRAIN_CHECKPOINT = "name a checkpoint with --checkpoint, or train one with `xlxmert demo --from-scratch`"
TRAIN_CAPTIONER = "name a captioner with --model, or train one with `xlxmert pretrain --preset xgpt-world`"
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def bundled() -> Path:
    """The folder of the checkpoint that comes with the package.

    Raises:
        XlxmertError: this installation has none.
    """
    return _shipped("world", "checkpoint", TRAIN_CHECKPOINT)


def bundled_captioner() -> Path:
    """The folder of the captioner that comes with the package.

    Raises:
        XlxmertError: this installation has none.
    """
    return _shipped("captioner", "captioner", TRAIN_CAPTIONER)


def _shipped(name: str, what: str, instead: str) -> Path:
    folder = Path(str(resources.files("xlxmert") / "weights" / name))
    if not (folder / CONFIG).is_file():
        raise XlxmertError(f"expected the bundled {what} in {folder}, found nothing: reinstall xlxmert, {instead}")
    return folder


def locate(name: str | Path | None) -> Path:
    """The folder that a checkpoint's name means: nothing is the bundled one, else a folder, else a name on the hub.

    Raises:
        UsageError: there is no such folder, and the name is none of the hub's.
        XlxmertError: the hub cannot be reached or has no such checkpoint.
    """
    if name is None:
        return bundled()
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists() or not HUB_NAME.fullmatch(str(name)) or str(name).startswith("."):
        found = "a file" if folder.exists() else "nothing"
        raise UsageError(f"expected a checkpoint's folder at {name}, found {found}: check the path, or give owner/name")
    return _download(str(name))


def _download(name: str) -> Path:
    """The folder of a downloaded checkpoint; what was downloaded before is found without a network."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=list(FILES)))
    except Exception as error:  # the hub's client raises many types
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise XlxmertError(
            f"expected the checkpoint {name} in a folder of that name or on the Hugging Face hub, found neither "
            f"({reason}): check the path, the name and the network"
        ) from error
