"""Settings of the built-in world: each has a few procedural drawings, which are pure functions of its name and variant.

A drawing is made of smooth gradients and large soft shapes, so that it never looks like a sprite.
"""

import functools
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from xlxmert.core.seeds import numpy_generator
from xlxmert.data.world.lexicon import SETTINGS

SIDE = 256
Colour = tuple[int, int, int]


@functools.cache
def draw_setting(setting: str, variant: int) -> Image.Image:
    """The background of ``setting`` in one of its variants, 256x256 RGB."""
    picture = PAINTERS[setting](numpy_generator("setting", setting, variant))
    return picture.filter(ImageFilter.GaussianBlur(1.2))


def _gradient(stops: list[tuple[float, Colour]]) -> Image.Image:
    """A vertical gradient through colours at heights in [0, 1]."""
    at = np.linspace(0, 1, SIDE)
    heights, colours = zip(*stops, strict=True)
    column = np.stack([np.interp(at, heights, [c[i] for c in colours]) for i in range(3)], -1)
    return Image.fromarray(np.repeat(column[:, None], SIDE, 1).astype(np.uint8), "RGB")


def _shift(colour: Colour, rng: np.random.Generator, by: int = 10) -> Colour:
    return tuple(int(v) for v in np.clip(np.array(colour) + rng.normal(0, by, 3), 0, 255))  # type: ignore[return-value]


def _ridge(
    picture: Image.Image, rng: np.random.Generator, base: float, swing: float, colour: Colour, waves: int = 3
) -> None:
    """Fill everything below a smooth random line; ``base`` and ``swing`` are shares of the height."""
    x = np.arange(0, SIDE + 1, 4)
    line = np.zeros(len(x))
    for k in range(1, waves + 1):
        line += swing / k * np.sin(k * np.pi * x / SIDE * rng.uniform(0.7, 1.5) + rng.uniform(0, 6.3))
    line += base
    points = [(float(a), float(b) * SIDE) for a, b in zip(x, line, strict=True)]
    ImageDraw.Draw(picture).polygon([*points, (SIDE, SIDE), (0, SIDE)], fill=colour)


def _disc(picture: Image.Image, x: float, y: float, radius: float, colour: Colour) -> None:
    box = [v * SIDE for v in (x - radius, y - radius, x + radius, y + radius)]
    ImageDraw.Draw(picture).ellipse(box, fill=colour)


def _field(rng: np.random.Generator) -> Image.Image:
    picture = _gradient([(0.0, _shift((120, 190, 250), rng)), (0.5, (205, 232, 252)), (1.0, (205, 232, 252))])
    _ridge(picture, rng, rng.uniform(0.34, 0.5), 0.04, _shift((126, 200, 96), rng))
    _ridge(picture, rng, rng.uniform(0.58, 0.7), 0.04, _shift((98, 180, 76), rng))
    return picture


def _beach(rng: np.random.Generator) -> Image.Image:
    picture = _gradient([(0.0, _shift((96, 200, 250), rng)), (0.35, (200, 240, 252)), (1.0, (200, 240, 252))])
    sea = rng.uniform(0.3, 0.4)
    _ridge(picture, rng, sea, 0.0, _shift((40, 160, 200), rng))
    _ridge(picture, rng, sea + 0.16, 0.03, _shift((120, 214, 214), rng))
    _ridge(picture, rng, sea + 0.2, 0.03, _shift((246, 222, 168), rng, 6))
    return picture


def _snow(rng: np.random.Generator) -> Image.Image:
    picture = _gradient([(0.0, _shift((168, 196, 224), rng, 6)), (0.5, (222, 232, 244)), (1.0, (222, 232, 244))])
    _ridge(picture, rng, rng.uniform(0.36, 0.46), 0.06, _shift((226, 236, 248), rng, 4))
    _ridge(picture, rng, rng.uniform(0.6, 0.7), 0.04, (246, 250, 255))
    return picture


def _night(rng: np.random.Generator) -> Image.Image:
    picture = _gradient([(0.0, _shift((10, 14, 52), rng, 5)), (0.7, (44, 46, 104)), (1.0, (60, 58, 120))])
    _disc(picture, rng.uniform(0.12, 0.88), rng.uniform(0.1, 0.16), 0.06, (250, 246, 214))
    _ridge(picture, rng, rng.uniform(0.62, 0.74), 0.06, (20, 26, 50))
    return picture


def _sea(rng: np.random.Generator) -> Image.Image:
    picture = _gradient([(0.0, _shift((150, 214, 246), rng)), (0.4, (214, 238, 250)), (1.0, (214, 238, 250))])
    level = rng.uniform(0.3, 0.42)
    for k, colour in enumerate([(36, 120, 190), (28, 104, 176), (20, 86, 156)]):
        _ridge(picture, rng, level + 0.2 * k, 0.012, _shift(colour, rng, 6), waves=6)
    return picture


def _desert(rng: np.random.Generator) -> Image.Image:
    picture = _gradient([(0.0, _shift((250, 204, 130), rng)), (0.5, (253, 232, 190)), (1.0, (253, 232, 190))])
    _ridge(picture, rng, rng.uniform(0.36, 0.48), 0.07, _shift((232, 176, 100), rng, 6))
    _ridge(picture, rng, rng.uniform(0.6, 0.72), 0.06, _shift((216, 152, 78), rng, 6))
    return picture


def _street(rng: np.random.Generator) -> Image.Image:
    picture = _gradient([(0.0, _shift((186, 206, 222), rng, 6)), (1.0, (220, 226, 232))])
    draw = ImageDraw.Draw(picture)
    edge = 0
    while edge < SIDE:
        width, top = int(rng.uniform(40, 72)), int(rng.uniform(0.06, 0.34) * SIDE)
        grey = _shift((156, 160, 174), rng, 14)
        draw.rectangle([edge, top, edge + width, SIDE], fill=grey)
        edge += width
    draw.rectangle([0, int(0.6 * SIDE), SIDE, int(0.68 * SIDE)], fill=(196, 196, 198))
    draw.rectangle([0, int(0.68 * SIDE), SIDE, SIDE], fill=_shift((92, 94, 102), rng, 5))
    return picture


def _room(rng: np.random.Generator) -> Image.Image:
    wall = [(236, 220, 200), (206, 222, 206), (212, 208, 232), (240, 212, 208)][int(rng.integers(4))]
    picture = _gradient([(0.0, _shift(wall, rng, 6)), (1.0, _shift(wall, rng, 6))])
    draw = ImageDraw.Draw(picture)
    draw.rectangle([0, int(0.66 * SIDE), SIDE, SIDE], fill=_shift((182, 138, 96), rng, 8))
    draw.rectangle([0, int(0.66 * SIDE), SIDE, int(0.69 * SIDE)], fill=(248, 246, 240))
    left = int(rng.uniform(0.1, 0.6) * SIDE)
    draw.rectangle([left, 28, left + 64, 104], fill=(250, 250, 246))
    draw.rectangle([left + 6, 34, left + 58, 98], fill=(176, 216, 244))
    return picture


def _forest(rng: np.random.Generator) -> Image.Image:
    picture = _gradient([(0.0, _shift((60, 110, 70), rng, 6)), (0.6, (96, 146, 88)), (1.0, (70, 100, 54))])
    draw = ImageDraw.Draw(picture)
    for x in np.linspace(-10, 246, 7) + rng.uniform(-12, 12, 7):
        width = rng.uniform(12, 22)
        draw.rectangle([x, 0, x + width, int(rng.uniform(0.62, 0.72) * SIDE)], fill=_shift((70, 58, 40), rng, 6))
    _ridge(picture, rng, rng.uniform(0.64, 0.7), 0.03, _shift((64, 96, 46), rng, 5))
    return picture


def _sunset(rng: np.random.Generator) -> Image.Image:
    glow = (254, 196, 110)
    picture = _gradient([(0.0, _shift((108, 60, 130), rng)), (0.35, (240, 110, 90)), (0.62, glow), (1.0, glow)])
    _disc(picture, rng.uniform(0.2, 0.8), 0.6, 0.1, (255, 240, 180))
    _ridge(picture, rng, rng.uniform(0.62, 0.68), 0.03, _shift((92, 44, 72), rng, 6))
    return picture


def _mountains(rng: np.random.Generator) -> Image.Image:
    picture = _gradient([(0.0, _shift((140, 200, 236), rng)), (0.6, (224, 240, 248)), (1.0, (224, 240, 248))])
    draw = ImageDraw.Draw(picture)
    for x in np.linspace(10, 246, 4) + rng.uniform(-22, 22, 4):
        top, half = rng.uniform(0.1, 0.3) * SIDE, rng.uniform(70, 100)
        draw.polygon([(x - half, 0.72 * SIDE), (x, top), (x + half, 0.72 * SIDE)], fill=_shift((118, 124, 148), rng, 8))
        cap = [(x - half * 0.25, top + 0.18 * SIDE), (x, top), (x + half * 0.25, top + 0.18 * SIDE)]
        draw.polygon(cap, fill=(240, 244, 250))
    _ridge(picture, rng, rng.uniform(0.66, 0.72), 0.02, _shift((104, 150, 110), rng, 6))
    return picture


def _space(rng: np.random.Generator) -> Image.Image:
    picture = _gradient([(0.0, _shift((18, 4, 36), rng, 4)), (0.5, (40, 12, 66)), (1.0, _shift((14, 4, 40), rng, 4))])
    _disc(picture, rng.uniform(0, 1), rng.uniform(0.9, 1.05), rng.uniform(0.2, 0.32), _shift((120, 84, 150), rng, 14))
    _disc(picture, rng.uniform(0, 1), rng.uniform(0.0, 0.2), rng.uniform(0.08, 0.14), _shift((96, 60, 110), rng, 14))
    return picture.filter(ImageFilter.GaussianBlur(2))


PAINTERS: dict[str, Callable[[np.random.Generator], Image.Image]] = {
    "field": _field,
    "beach": _beach,
    "snow": _snow,
    "night": _night,
    "sea": _sea,
    "desert": _desert,
    "street": _street,
    "room": _room,
    "forest": _forest,
    "sunset": _sunset,
    "mountains": _mountains,
    "space": _space,
}
"""The drawing function of every setting."""

if PAINTERS.keys() != SETTINGS.keys():
    raise RuntimeError(f"settings without a drawing or the reverse: {PAINTERS.keys() ^ SETTINGS.keys()}")
