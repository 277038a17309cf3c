"""Picture files in and out: files become square uint8 arrays, and arrays become PNG files and contact sheets.

Pictures come from strangers, so a file's size is checked before it is decoded, and whatever is wrong with it is
reported by name.
"""

import contextlib
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont, ImageOps

from xlxmert.core.axes import Float, Tensor, UInt8
from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.files import atomic_path

MEGAPIXELS = 100.0
"""The largest picture that is decoded unless the caller allows more."""
UNSAFE = frozenset({"EPS", "WMF"})
"""Formats that would start another program or need one."""


def load_picture(
    path: Path, size: int = 256, crop: bool = False, megapixels: float = MEGAPIXELS
) -> UInt8[np.ndarray, "S S 3"]:
    """Read a picture as RGB pixels of ``size`` by ``size``: upright, the first frame, white where transparent.

    Args:
        path: any file that Pillow reads.
        size: side of the result in pixels.
        crop: keep the centre square; by default the whole picture is squashed, as the published models expect.
        megapixels: refuse larger pictures before decoding them.

    Raises:
        XlxmertError: the file is missing, no picture, cut short or too large; the message names it.
    """
    with _opened(Path(path), megapixels) as image:
        image.draft(None, (2 * size, 2 * size))  # lets a huge JPEG decode at a fraction of its size
        return square(image, size, crop)


def load_whole(path: Path, megapixels: float = MEGAPIXELS) -> UInt8[np.ndarray, "height width 3"]:
    """As `load_picture`, but of the size that the picture has."""
    with _opened(Path(path), megapixels) as image:
        return np.array(_upright(image), dtype=np.uint8)


def square(image: Image.Image, size: int = 256, crop: bool = False) -> UInt8[np.ndarray, "S S 3"]:
    """An opened picture as RGB pixels of ``size`` by ``size``; see `load_picture`."""
    image = _upright(image)
    if crop:
        image = ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS)
    elif image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.LANCZOS)
    return np.array(image, dtype=np.uint8)


def save_png(path: str | Path, picture: UInt8[np.ndarray, "height width 3"]) -> None:
    """Write RGB pixels as a PNG file, atomically."""
    with atomic_path(Path(path)) as part:
        Image.fromarray(np.ascontiguousarray(picture)).save(part, format="PNG")


def to_floats(pictures: UInt8[Tensor, "B H W 3"]) -> Float[Tensor, "B 3 H W"]:
    """Public pixels (uint8, channels last) as inner ones: float in [-1, 1], channels first."""
    return pictures.permute(0, 3, 1, 2).float() / 127.5 - 1


def to_bytes(pictures: Float[Tensor, "B 3 H W"]) -> UInt8[Tensor, "B H W 3"]:
    """Inner pixels (float in [-1, 1], clipped) as public ones: uint8, channels last; the inverse of `to_floats`."""
    return ((pictures.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def contact_sheet(
    rows: Sequence[Sequence[UInt8[np.ndarray, "_ _ 3"]]],
    captions: Sequence[Sequence[str]] | None = None,
    titles: Sequence[str] | None = None,
    tile: int = 160,
    gap: int = 8,
) -> UInt8[np.ndarray, "height width 3"]:
    """Pictures in rows on white, each fitted into a square tile.

    Args:
        rows: pictures by row; rows may differ in length.
        captions: a text under each picture, wrapped to the tile's width; the same nesting as ``rows``.
        titles: a text above each row.
        tile: side of a tile in pixels.
        gap: space around tiles in pixels.

    Raises:
        UsageError: there is nothing to draw, or texts and pictures differ in number.
    """
    columns = max((len(row) for row in rows), default=0)
    if not columns:
        raise UsageError("expected at least one picture for a contact sheet, found none")
    captions = [[""] * len(row) for row in rows] if captions is None else captions
    titles = [""] * len(rows) if titles is None else titles
    expected, found = [len(row) for row in rows], [len(row) for row in captions]
    if expected != found or len(titles) != len(rows):
        raise UsageError(
            f"expected {expected} captions and {len(rows)} titles for {expected} pictures by row, "
            f"found {found} captions and {len(titles)} titles"
        )
    width = columns * (tile + gap) + gap
    strips = [_strip(*contents, width, tile, gap) for contents in zip(rows, captions, titles, strict=True)]
    return np.concatenate([*strips, np.full((gap, width, 3), 255, np.uint8)])


@contextlib.contextmanager
def _opened(path: Path, megapixels: float) -> Iterator[Image.Image]:
    """An open picture, its size checked, not yet decoded; what fails inside becomes an error that names the file."""
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing"
        raise XlxmertError(f"expected a picture at {path}, found {found}: check the path")
    Image.init()
    formats = sorted(set(Image.OPEN) - UNSAFE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # our own limit is below
            opened = Image.open(path, formats=formats)
        with opened as image:
            width, height = image.size
            if width * height > megapixels * 1e6:
                raise _too_large(path, f"{width}x{height} pixels", megapixels)
            yield image
    except Image.DecompressionBombError as error:
        pixels = int(re.findall(r"\d+", str(error))[0])  # Pillow's own limit, met before the size can be asked for
        raise _too_large(path, f"{pixels / 1e6:.0f} megapixels", megapixels) from error
    except XlxmertError:
        raise
    except Exception as error:  # Pillow's plug-ins raise many types on broken files
        raise XlxmertError(
            f"could not read the picture {path} ({error}): it is cut short, damaged or of an unknown format"
        ) from error


def _too_large(path: Path, found: str, megapixels: float) -> XlxmertError:
    return XlxmertError(
        f"expected a picture of at most {megapixels:g} megapixels, found {found} in {path}: make it smaller first"
    )


def _upright(image: Image.Image) -> Image.Image:
    """A picture as RGB, turned as its camera was held."""
    with contextlib.suppress(Exception):  # broken EXIF data: take the picture as it lies
        image = ImageOps.exif_transpose(image)
    return _rgb(image)


def _rgb(image: Image.Image) -> Image.Image:
    """The first frame as RGB: any mode, transparent parts on white."""
    if image.mode == "F" or image.mode.startswith("I"):
        return Image.fromarray(_eight_bits(image)).convert("RGB")
    if "transparency" in image.info or image.mode in ("RGBA", "RGBa", "LA", "La", "PA"):
        image = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> UInt8[np.ndarray, "height width"]:
    """A grey picture of 16 or 32 bits or floats, as 8 bits; full scale is the least of 1, 255, 65535 that fits."""
    grey = np.nan_to_num(np.asarray(image, dtype=np.float64))
    peak = float(grey.max(initial=0.0))
    if image.mode.startswith("I;16"):
        full = 65535.0
    else:
        full = 1.0 if image.mode == "F" and peak <= 1 else 255.0 if peak <= 255 else max(65535.0, peak)
    return np.clip(np.round(grey * (255 / full)), 0, 255).astype(np.uint8)


def _strip(
    row: Sequence[UInt8[np.ndarray, "_ _ 3"]], captions: Sequence[str], title: str, width: int, tile: int, gap: int
) -> UInt8[np.ndarray, "height width 3"]:
    """A row of a contact sheet: the title, the tiles and the captions under them."""
    font = ImageFont.load_default(max(10, tile // 13))
    line = int(font.size * 1.25) if isinstance(font, ImageFont.FreeTypeFont) else 12
    heading = _wrapped(title, font, width - 2 * gap)
    texts = [_wrapped(caption, font, tile) for caption in captions]
    top = gap + line * len(heading)
    height = top + tile + line * max((len(text) for text in texts), default=0) + (gap // 2)
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    draw.multiline_text((gap, gap // 2), "\n".join(heading), fill="black", font=font, spacing=line // 5)
    for column, (picture, text) in enumerate(zip(row, texts, strict=True)):
        left = gap + column * (tile + gap)
        image = Image.fromarray(np.ascontiguousarray(picture))
        fitted = ImageOps.contain(image, (tile, tile), Image.Resampling.LANCZOS)
        sheet.paste(fitted, (left + (tile - fitted.width) // 2, top + (tile - fitted.height) // 2))
        for number, words in enumerate(text):
            draw.text((left, top + tile + line * number + 2), words, fill="black", font=font)
    return np.array(sheet)


def _wrapped(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    """The text in lines no wider than ``width`` pixels; a word that is too long is broken."""
    lines: list[str] = []
    for word in text.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] = f"{lines[-1]} {word}"
            continue
        lines.append("")
        for letter in word:
            if lines[-1] and font.getlength(lines[-1] + letter) > width:
                lines.append("")
            lines[-1] += letter
    return lines
