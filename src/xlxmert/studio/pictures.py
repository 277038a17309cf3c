"""Pictures as users have them, a file, pixels or what the studio made, as RGB pixels."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from xlxmert.core.axes import Tensor, UInt8
from xlxmert.core.errors import UsageError
from xlxmert.core.images import load_picture, load_whole, square
from xlxmert.studio.results import Edited, Painting

Picture = str | Path | Painting | Edited | np.ndarray | Tensor
"""A file, RGB pixels (height, width, 3) as uint8, or what the studio painted."""

LOOK_CHUNK = 32
"""Pictures that are held as pixels at a time."""


def looked_at(pictures: Picture | Iterable[Picture], size: int) -> Iterator[UInt8[Tensor, "B S S 3"]]:
    """Pictures as pixels of ``size`` by ``size``, some at a time.

    Raises:
        UsageError: there is none, or pixels are of another shape or type than RGB.
        XlxmertError: a file cannot be read.
    """
    listed = [pictures] if is_one(pictures) else list(pictures)  # type: ignore[arg-type]
    if not listed:
        raise UsageError("expected at least one picture, found none: pass files or pixels")
    for start in range(0, len(listed), LOOK_CHUNK):
        yield torch.stack([squashed(picture, size) for picture in listed[start : start + LOOK_CHUNK]])  # type: ignore[arg-type]


def squashed(picture: Picture, size: int) -> UInt8[Tensor, "S S 3"]:
    """One picture as RGB pixels of ``size`` by ``size``, whatever its own shape.

    Raises:
        UsageError: pixels are of another shape or type than RGB.
        XlxmertError: a file cannot be read.
    """
    if isinstance(picture, str | Path):
        return torch.from_numpy(load_picture(Path(picture), size))
    pixels = _given(picture)
    if pixels.shape[:2] != (size, size):
        pixels = square(Image.fromarray(pixels), size)
    return torch.from_numpy(np.array(pixels))


def whole(picture: Picture) -> UInt8[np.ndarray, "height width 3"]:
    """One picture as RGB pixels of its own size.

    Raises:
        UsageError: pixels are of another shape or type than RGB.
        XlxmertError: a file cannot be read.
    """
    return load_whole(Path(picture)) if isinstance(picture, str | Path) else _given(picture)


def is_one(pictures: object) -> bool:
    """Whether this is a single picture rather than several."""
    if isinstance(pictures, np.ndarray | Tensor):
        return pictures.ndim == 3
    return isinstance(pictures, str | Path | Painting | Edited)


def each_once(pictures: Sequence[Picture]) -> tuple[list[Picture], list[int]]:
    """Each file or object once, and which of them stands at every place of the list."""
    keys = [str(picture) if isinstance(picture, str | Path) else id(picture) for picture in pictures]
    firsts = {key: picture for key, picture in reversed(list(zip(keys, pictures, strict=True)))}
    once = {key: firsts[key] for key in keys}
    rows = {key: row for row, key in enumerate(once)}
    return list(once.values()), [rows[key] for key in keys]


def _given(picture: Painting | Edited | np.ndarray | Tensor) -> UInt8[np.ndarray, "height width 3"]:
    """The pixels of a picture that is no file."""
    pixels = np.asarray(picture.picture if isinstance(picture, Painting | Edited) else picture)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise UsageError(
            f"expected RGB pixels (height, width, 3) as uint8, found {pixels.shape} as {pixels.dtype}: "
            "convert the picture, or pass its file"
        )
    return np.ascontiguousarray(pixels)
