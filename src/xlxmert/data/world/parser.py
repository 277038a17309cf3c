"""From a picture of the built-in world back to its scene, so that painted pictures can be scored fact by fact.

It works by analysis through synthesis: it knows the world's sprites and settings, and no painted picture was used to
make it. The parser

1. shrinks the picture to 8 pixels per cell and finds the setting whose drawings explain most cells;
2. for every sprite, colour, size and place on the cell grid, computes by how much pasting that sprite onto the setting
   lowers the squared error, in closed form;
3. takes the best placement, and again the best one that does not overlap, until none explains enough.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from xlxmert.core.axes import Float, Tensor, UInt8
from xlxmert.data.world.lexicon import COLOURS, NOUNS, SETTINGS, SIZES, VARIANTS
from xlxmert.data.world.render import paste_item
from xlxmert.data.world.scene import GRID, SPAN, Item, Scene
from xlxmert.data.world.settings import SIDE, draw_setting

FINE = 8
"""Pixels per cell at which pictures are compared."""
CAP = 0.02
"""A cell's mean squared error counts no more than this in the choice of the setting: it may be hidden by a sprite."""
LEAST_SHARE = 0.35
"""A placement must explain this share of what the setting leaves unexplained under it."""
LEAST_GAIN = 0.35
"""A placement must lower the summed squared error (RGB in [0, 1], 64 x 64 pixels) by this much."""


def _shrink(pictures: Float[Tensor, "B C s s"]) -> Float[Tensor, "B C t t"]:
    return F.avg_pool2d(pictures, SIDE // (GRID * FINE))


def _to_floats(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255


@functools.cache
def _backgrounds() -> Float[Tensor, "S v 3 t t"]:
    """All drawings of all settings, shrunk."""
    rows = [torch.stack([_to_floats(draw_setting(name, v)) for v in range(VARIANTS)]) for name in SETTINGS]
    return torch.stack([_shrink(row) for row in rows])


@dataclass(frozen=True)
class _Templates:
    """Every sprite that takes ``span`` cells per side: what it is, and its flattened colours and alphas."""

    span: int
    items: tuple[Item, ...]
    colour: Float[Tensor, "K P"]
    """Alpha times colour."""
    alpha: Float[Tensor, "K P"]


@functools.cache
def _templates(span: int) -> _Templates:
    sizes = [size for size in SIZES if SPAN[size] == span]
    choices = [(n, c, s) for n in NOUNS for c in (COLOURS if n.tinted else [""]) for s in sizes]
    items = tuple(Item(noun.name, colour, size, noun.action, 0, 0) for noun, colour, size in choices)
    layers = torch.stack([_layer(item) for item in items])  # (K, 2, 3, t, t)
    flat = layers.flatten(2)  # (K, 2, P)
    return _Templates(span, items, flat[:, 0], flat[:, 1])


def _layer(item: Item) -> Float[Tensor, "2 3 t t"]:
    """Alpha times colour, and alpha, of one item, at 8 pixels per cell: pasted on black and on white."""
    pasted = []
    for grey in (0, 255):
        canvas = Image.new("RGB", (SIDE, SIDE), (grey, grey, grey))
        paste_item(canvas, item)
        pasted.append(_shrink(_to_floats(canvas)[None])[0])
    edge = item.span * FINE
    black, white = (canvas[:, :edge, :edge] for canvas in pasted)
    return torch.stack([black, (1 - (white - black)).clamp(0, 1)])


def parse_pictures(pictures: UInt8[Tensor, "B s s 3"]) -> list[Scene]:
    """The scenes of 256x256 pictures; every picture is parsed alone, so a batch changes nothing.

    Raises:
        ValueError: the pictures are not 256 pixels wide and high.
    """
    if pictures.shape[1:3] != (SIDE, SIDE):
        raise ValueError(f"expected pictures of {SIDE}x{SIDE} pixels, found {tuple(pictures.shape[1:3])}")
    small = _shrink(pictures.permute(0, 3, 1, 2).float() / 255)
    return [_parse(picture) for picture in small]


def parse_picture(picture: UInt8[np.ndarray, "s s 3"]) -> Scene:
    """The scene of one 256x256 picture."""
    return parse_pictures(torch.from_numpy(np.array(picture))[None])[0]


def _parse(picture: Float[Tensor, "3 t t"]) -> Scene:
    index, variant, background = _setting(picture)
    found: list[tuple[float, Item]] = []
    taken: set[tuple[int, int]] = set()
    for gain, item in _placements(picture, background):
        if len(found) == 8:
            break
        if not item.cells & taken:
            taken |= item.cells
            found.append((gain, item))
    order = sorted((item for _, item in found), key=lambda item: (item.noun, item.y, item.x))
    return Scene(list(SETTINGS)[index], variant, tuple(order))


def _setting(picture: Float[Tensor, "3 t t"]) -> tuple[int, int, Float[Tensor, "3 t t"]]:
    """Index of the setting, of its best drawing, and a background of the drawing that is best in each cell."""
    drawings = _backgrounds()
    errors = (drawings - picture).square().mean(2)  # (S, v, t, t)
    cells = F.avg_pool2d(errors, FINE)  # (S, v, n, n)
    capped = cells.clamp(max=CAP)
    setting = int(capped.amin(1).sum((-1, -2)).argmin())
    variant = int(capped[setting].sum((-1, -2)).argmin())
    # a cell under a sprite says nothing about the drawing: it takes the drawing that explains the picture best
    best = torch.where(cells[setting].amin(0) < CAP, cells[setting].argmin(0), variant)  # (n, n)
    chosen = best.repeat_interleave(FINE, 0).repeat_interleave(FINE, 1)  # (t, t)
    background = drawings[setting].gather(0, chosen[None, None].expand(1, 3, -1, -1))[0]
    return setting, variant, background


def _placements(picture: Tensor, background: Tensor) -> list[tuple[float, Item]]:
    """Every placement that explains enough, best first; at most the best template of each place and span."""
    found: list[tuple[float, Item]] = []
    for span in sorted(set(SPAN.values())):
        templates = _templates(span)
        residual, ground = _windows(picture - background, span), _windows(background, span)  # (L, P)
        gains = _gains(residual, ground, templates)  # (L, K)
        best, which = gains.max(1)
        share = best / residual.square().sum(1).clamp(min=1e-6)
        for place in torch.nonzero((best > LEAST_GAIN) & (share > LEAST_SHARE)).flatten().tolist():
            y, x = divmod(place, GRID - span + 1)
            item = templates.items[int(which[place])]
            found.append((float(best[place]), Item(item.noun, item.colour, item.size, item.action, x, y)))
    return sorted(found, key=lambda pair: -pair[0])


def _windows(values: Float[Tensor, "3 t t"], span: int) -> Float[Tensor, "L P"]:
    """All squares of ``span`` cells, one row per place, row-major."""
    return F.unfold(values[None], span * FINE, stride=FINE)[0].T.contiguous()


def _gains(residual: Float[Tensor, "L P"], ground: Float[Tensor, "L P"], templates: _Templates) -> Float[Tensor, "L K"]:
    """By how much each template lowers the squared error at each place.

    With residual r, background b, sprite colour c and alpha a, the error falls from r^2 to (r - a(c - b))^2, so the
    gain is 2 r a(c - b) - (a(c - b))^2, summed over pixels; every term is a product of a picture's row and a
    template's column.
    """
    colour, alpha = templates.colour, templates.alpha
    linear = residual @ colour.T - (residual * ground) @ alpha.T
    square = colour.square().sum(1) - 2 * ground @ (colour * alpha).T + ground.square() @ alpha.square().T
    return 2 * linear - square


def facts_of_scene(scene: Scene) -> set[tuple[str, ...]]:
    """Every fact that holds in a scene about what is there, relations left out."""
    facts: set[tuple[str, ...]] = {("setting", scene.setting)}
    for group in scene.groups:
        noun = group[0].noun
        facts |= {("noun", noun), ("count", noun, str(len(group)))}
        for item in group:
            said = {"colour": item.colour, "size": item.size, "action": item.action}
            facts |= {(kind, noun, word) for kind, word in said.items() if word}
    return facts


def agreement(true: Sequence[Scene], parsed: Sequence[Scene]) -> float:
    """Facts that both sides have over facts that either side has, in [0, 1]: intersection over union, over all scenes.

    A fact that the parse misses costs as much as one that it invents. Relations follow from the places: not counted.
    """
    pairs = [(facts_of_scene(a), facts_of_scene(b)) for a, b in zip(true, parsed, strict=True)]
    return sum(len(a & b) for a, b in pairs) / sum(len(a | b) for a, b in pairs)
