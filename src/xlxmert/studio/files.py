"""Paintings as files: PNG with prompt and seed inside, GIF of the steps; no stranger's file is replaced unasked."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from xlxmert.core.axes import UInt8
from xlxmert.core.errors import UsageError
from xlxmert.core.files import atomic_path
from xlxmert.studio.results import Edited, Painting

MAKER = "xlxmert"
"""Written into every file, so that we know our own again."""
LONGEST = 60
"""Letters of a prompt that a file name keeps."""


def slug(text: str) -> str:
    """A prompt as a file name without suffix: lower case ASCII letters, digits and dashes."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    return name[:LONGEST].rstrip("-") or "picture"


def file_names(paintings: Iterable[tuple[str, int]]) -> list[str]:
    """A name without suffix for each (prompt, seed), all different."""
    taken: dict[str, tuple[str, int]] = {}
    names = []
    for prompt, seed in paintings:
        name, number = f"{slug(prompt)}-{seed}", 2
        while taken.setdefault(name, (prompt, seed)) != (prompt, seed):
            name, number = f"{slug(prompt)}-{seed}-{number}", number + 1
        names.append(name)
    return names


def check_free(path: Path, overwrite: bool = False) -> None:
    """Complain about a file that is in the way.

    Raises:
        UsageError: there is a folder, or a file that xlxmert did not write and may not overwrite.
    """
    if path.is_dir():
        raise UsageError(f"expected to write a file at {path}, found a folder: choose another name")
    if path.exists() and not overwrite and not _is_ours(path):
        raise UsageError(
            f"expected no file at {path}, or one that xlxmert painted, found another: "
            "choose another --out, or pass --overwrite"
        )


def save_painting(path: Path, painting: Painting | Edited, overwrite: bool = False) -> None:
    """Write a painting as PNG, its prompt and seed inside, atomically; an earlier painting is replaced.

    Raises:
        UsageError: something else is in the way.
    """
    save_picture(path, painting.picture, overwrite, {"Description": painting.prompt, "Seed": str(painting.seed)})


def save_picture(
    path: Path,
    picture: UInt8[np.ndarray, "height width 3"],
    overwrite: bool = False,
    facts: dict[str, str] | None = None,
) -> None:
    """Write pixels as PNG with texts inside, atomically.

    Raises:
        UsageError: something else is in the way.
    """
    check_free(path, overwrite)
    texts = PngInfo()
    for name, text in {"Software": MAKER, **(facts or {})}.items():
        texts.add_itxt(name, text)
    with atomic_path(path) as part:
        Image.fromarray(np.ascontiguousarray(picture)).save(part, format="PNG", pnginfo=texts)


def save_gif(
    path: Path, frames: Sequence[UInt8[np.ndarray, "height width 3"]], overwrite: bool = False, seconds: float = 3.0
) -> None:
    """Write frames as an endless GIF of about ``seconds``, the last frame held, atomically.

    Raises:
        UsageError: there are no frames, or something else is in the way.
    """
    if not frames:
        raise UsageError("expected at least one frame for a GIF, found none")
    check_free(path, overwrite)
    images = [Image.fromarray(np.ascontiguousarray(frame)) for frame in frames]
    each = max(40, int(1000 * seconds / len(images)))
    durations = [each] * (len(images) - 1) + [1500]
    settings = {"append_images": images[1:], "duration": durations, "loop": 0, "comment": MAKER.encode()}
    with atomic_path(path) as part:
        images[0].save(part, format="GIF", save_all=True, **settings)


def _is_ours(path: Path) -> bool:
    """Whether xlxmert wrote this picture."""
    try:
        with Image.open(path, formats=["PNG", "GIF"]) as image:
            comment = image.info.get("comment", b"")
            return image.info.get("Software") == MAKER or comment == MAKER.encode()
    except Exception:  # whatever it is, it is not ours
        return False
