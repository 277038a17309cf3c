"""Sprites of the built-in world: loading, tinting and scaling. It turns a noun with a colour into pixels."""

import functools
from importlib import resources

import numpy as np
from PIL import Image

from xlxmert.core.errors import XlxmertError
from xlxmert.data.world.lexicon import BY_SPRITE, COLOURS


@functools.cache
def load_sprite(name: str) -> Image.Image:
    """The sprite of ``name`` as 128-pixel RGBA.

    Raises:
        XlxmertError: the world has no such sprite.
    """
    if name not in BY_SPRITE:
        raise XlxmertError(f"expected a sprite of the world, found '{name}': see xlxmert.data.world.lexicon.NOUNS")
    with resources.files("xlxmert.data.world").joinpath("sprites", f"{name}.webp").open("rb") as file:
        return Image.open(file).convert("RGBA")


@functools.lru_cache(maxsize=4096)
def draw_sprite(name: str, colour: str, side: int) -> Image.Image:
    """The sprite of ``name`` in ``colour`` (empty for its own colours), ``side`` pixels wide and high, RGBA."""
    sprite = load_sprite(name)
    if colour:
        sprite = tint(sprite, COLOURS[colour])
    return sprite.resize((side, side), Image.Resampling.LANCZOS)


def tint(sprite: Image.Image, colour: tuple[int, int, int]) -> Image.Image:
    """Give the sprite's main paint another colour; its shading, its other paints and its outline stay.

    The main paint is the most common hue among saturated pixels. A pixel takes the new colour to the degree to which it
    carries that hue, and keeps its brightness relative to the paint's median.
    """
    pixels = np.asarray(sprite, dtype=np.float32) / 255
    rgb, alpha = pixels[..., :3], pixels[..., 3:]
    hue, saturation, value = _hsv(rgb)
    weight = saturation * value * alpha[..., 0]
    histogram, edges = np.histogram(hue, bins=36, range=(0, 1), weights=weight)
    smooth = histogram + np.roll(histogram, 1) + np.roll(histogram, -1)
    main = edges[int(smooth.argmax())] + 0.5 / 36
    distance = np.abs((hue - main + 0.5) % 1 - 0.5)
    share = np.clip((0.16 - distance) / 0.05, 0, 1) * np.clip((saturation - 0.18) / 0.15, 0, 1)
    brightness = rgb @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    paint = brightness[(share > 0.5) & (alpha[..., 0] > 0.5)]
    shade = (brightness - np.median(paint)) if paint.size else brightness * 0
    target = np.array(colour, dtype=np.float32) / 255
    light = np.clip(shade, 0, 1)[..., None] * 1.1
    dark = 1 + np.clip(shade, -1, 0)[..., None] * 1.3
    painted = target * dark * (1 - light) + light
    mixed = rgb * (1 - share[..., None]) + painted * share[..., None]
    return Image.fromarray((np.concatenate([mixed.clip(0, 1), alpha], -1) * 255 + 0.5).astype(np.uint8), "RGBA")


def _hsv(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hue, saturation and value in [0, 1] of an (h, w, 3) array."""
    value, low = rgb.max(-1), rgb.min(-1)
    span = value - low
    safe = np.where(span > 0, span, 1)
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    not_red = np.where(value == green, (blue - red) / safe + 2, (red - green) / safe + 4)
    sector = np.where(value == red, (green - blue) / safe % 6, not_red)
    return np.where(span > 0, sector / 6, 0), np.where(value > 0, span / np.where(value > 0, value, 1), 0), value
