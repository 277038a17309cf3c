"""Attention maps as pictures: heat over the cells for every word, matrices of words, and links between cells.

Heat and links lie over the picture itself, made pale and grey, so that its own colours are not taken for attention.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from xlxmert.core.axes import Float, UInt8
from xlxmert.core.images import contact_sheet
from xlxmert.studio.attention import AttentionMaps, Panel

TILE = 176
"""Side of a tile with heat, in pixels."""
WIDE = 400
"""Side of a picture with links, in pixels."""
COLUMNS = 8
"""Most tiles in a row."""
LINKS = 24
"""Links between cells that a picture shows: the strongest ones."""
FINE = 3
"""Links are drawn this much larger and shrunk, so that their edges are smooth."""
SQUARE, MATRIX = 34, 900
"""Side of a square of a matrix, and of a whole matrix of many words, in pixels."""
NUMBERS = 24
"""Side from which on a square has room for its number."""
HEAT = ((255, 255, 178), (254, 204, 92), (253, 141, 60), (240, 59, 32), (165, 0, 38))
"""From little to much: ColorBrewer's YlOrRd."""
BLUES = ((255, 255, 255), (198, 219, 239), (107, 174, 214), (33, 113, 181), (8, 48, 107))
"""From nothing to much: ColorBrewer's Blues."""
INK, LINE = (28, 30, 33), (222, 224, 228)
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def draw_attention(found: AttentionMaps, kind: str, panels: Sequence[Panel]) -> UInt8[np.ndarray, "height width 3"]:
    """Maps of one kind, as `AttentionMaps.panels` chooses them, as one picture.

    Between words and cells each map is a row of tiles, one per word: hot are the cells that the word looks at, or those
    that look at the word. Among words it is a matrix in which the row looks at the column. Among cells it is the
    picture with the strongest links, as in Fig. 4 of the LXMERT paper.
    """
    return DRAW[kind](found, panels)


def draw_words_over_cells(found: AttentionMaps, panels: Sequence[Panel]) -> UInt8[np.ndarray, "height width 3"]:
    """Where each word looks; the number is the share of the hottest cell."""
    return _heat_sheet(found, [(panel.title, panel.weights) for panel in panels])


def draw_cells_over_words(found: AttentionMaps, panels: Sequence[Panel]) -> UInt8[np.ndarray, "height width 3"]:
    """Which cells look at each word; the number is what the hottest cell gives to it."""
    return _heat_sheet(found, [(panel.title, panel.weights.T) for panel in panels])


def draw_words(found: AttentionMaps, panels: Sequence[Panel]) -> UInt8[np.ndarray, "height width 3"]:
    """Matrices in percent: the word of the row looks at the word of the column."""
    return _side_by_side([(panel.title, _matrix(panel.weights, found.tokens)) for panel in panels])


def draw_cells(found: AttentionMaps, panels: Sequence[Panel]) -> UInt8[np.ndarray, "height width 3"]:
    """The strongest links between different cells: a line leads to the dot of the cell that is looked at."""
    highest = [_highest(strongest_links(panel.weights, 1)) for panel in panels]
    titles = [f"{panel.title}: up to {_percent(top)} %" for panel, top in zip(panels, highest, strict=True)]
    return _side_by_side([(title, _links(found, panel.weights)) for title, panel in zip(titles, panels, strict=True)])


def heat_tile(
    picture: UInt8[np.ndarray, "S S 3"], weights: Float[np.ndarray, " N"], full: float, side: int = TILE
) -> UInt8[np.ndarray, "side side 3"]:
    """A picture with heat over its cells: none at weight 0, most from ``full`` on."""
    grid = math.isqrt(len(weights))
    heat = np.clip(weights / max(full, 1e-9), 0, 1).reshape(grid, grid)
    large = np.asarray(Image.fromarray(heat.astype(np.float32)).resize((side, side), Image.Resampling.NEAREST))
    share = (0.8 * large**0.6)[..., None]
    tile = np.round(_pale(picture, side) * (1 - share) + _colours(large, HEAT) * share).astype(np.uint8)
    tile[[0, -1]] = tile[:, [0, -1]] = LINE  # a border, for pictures that are white at the edge
    return tile


def strongest_links(weights: Float[np.ndarray, "N N"], count: int = LINKS) -> list[tuple[int, int, float]]:
    """The strongest pairs (cell that looks, cell that is seen, weight) of different cells, weakest first, none of 0."""
    others = np.where(np.eye(len(weights), dtype=bool), 0.0, weights)
    order = np.argsort(others, axis=None, kind="stable")[-count:]
    pairs = zip(*np.unravel_index(order, others.shape), strict=True)
    return [(int(a), int(b), float(others[a, b])) for a, b in pairs if others[a, b] > 0]


def _heat_sheet(
    found: AttentionMaps, maps: Sequence[tuple[str, Float[np.ndarray, "T N"]]]
) -> UInt8[np.ndarray, "height width 3"]:
    """Rows of tiles, one tile per word; heat is full at a tile's highest weight, or at half its map's if that is more.

    So a word that looks everywhere stays pale beside one that looks somewhere.
    """
    lines = -(-len(found.tokens) // COLUMNS)
    width = -(-len(found.tokens) // lines)
    rows, captions, titles = [], [], []
    for title, weights in maps:
        highest = weights.max(1).tolist()  # (T)
        fair = max(highest) / 2
        tiles = [heat_tile(found.picture, row, max(top, fair)) for row, top in zip(weights, highest, strict=True)]
        texts = [f"{token} {_percent(top)} %" for token, top in zip(found.tokens, highest, strict=True)]
        for start in range(0, len(tiles), width):
            rows.append(tiles[start : start + width])
            captions.append(texts[start : start + width])
            titles.append("" if start else title)
    return contact_sheet(rows, captions, titles, TILE)


def _matrix(weights: Float[np.ndarray, "T T"], tokens: Sequence[str]) -> Image.Image:
    """A square per pair of words with its percentage, names to the left and on top."""
    square = max(12, min(SQUARE, MATRIX // len(tokens)))
    font, small = ImageFont.load_default(min(15, square)), ImageFont.load_default(12)
    margin = int(max(font.getlength(token) for token in tokens)) + 12
    side = margin + square * len(tokens) + 1
    image = Image.new("RGB", (side, side), "white")
    draw = ImageDraw.Draw(image)
    shades = np.round(_colours(weights, BLUES)).astype(int).tolist()
    for row, token in enumerate(tokens):
        top = margin + square * row
        draw.text((margin - 6, top + square // 2), token, fill=INK, font=font, anchor="rm")
        image.paste(_upright(token, font, margin - 6, square), (top, 0))
        for column, weight in enumerate(weights[row].tolist()):
            left = margin + square * column
            draw.rectangle((left, top, left + square, top + square), tuple(shades[row][column]), LINE)
            if square >= NUMBERS:
                centre, ink = (left + square // 2, top + square // 2), "white" if weight > 0.5 else INK
                draw.text(centre, _percent(weight), fill=ink, font=small, anchor="mm")
    return image


def _upright(text: str, font: Font, long: int, wide: int) -> Image.Image:
    """A text from bottom to top."""
    label = Image.new("RGB", (long, wide), "white")
    ImageDraw.Draw(label).text((0, wide // 2), text, fill=INK, font=font, anchor="lm")
    return label.rotate(90, expand=True)


def _links(found: AttentionMaps, weights: Float[np.ndarray, "N N"]) -> Image.Image:
    """The picture with its strongest links; thicker and hotter is stronger."""
    side, cell = WIDE * FINE, WIDE * FINE / found.grid
    image = Image.fromarray(_pale(found.picture, WIDE).astype(np.uint8)).resize((side, side))
    draw = ImageDraw.Draw(image)
    links = strongest_links(weights)
    shares = np.array([weight for *_, weight in links]) / (_highest(links) or 1.0)
    colours = np.round(_colours(shares, HEAT[1:])).astype(int).tolist()
    for (looking, seen, _), share, colour in zip(links, shares.tolist(), colours, strict=True):
        ends = [((place % found.grid + 0.5) * cell, (place // found.grid + 0.5) * cell) for place in (looking, seen)]
        draw.line(ends, fill=tuple(colour), width=round(FINE * (1 + 4 * share)))
        draw.circle(ends[1], FINE * (3 + 5 * share), fill=tuple(colour), outline="white", width=FINE)
    return image.resize((WIDE, WIDE), Image.Resampling.LANCZOS)


def _highest(links: Sequence[tuple[int, int, float]]) -> float:
    return max((weight for *_, weight in links), default=0.0)


def _side_by_side(panels: Sequence[tuple[str, Image.Image]], gap: int = 16) -> UInt8[np.ndarray, "height width 3"]:
    """Images of one size under their titles, in rows about as many as columns."""
    font = ImageFont.load_default(17)
    columns = min(len(panels), max(3, round(len(panels) ** 0.5)))
    wide = gap + int(max(max(image.width, font.getlength(title)) for title, image in panels))
    high = panels[0][1].height + gap + 24
    sheet = Image.new("RGB", (wide * columns + gap, high * -(-len(panels) // columns) + gap), "white")
    draw = ImageDraw.Draw(sheet)
    for place, (title, image) in enumerate(panels):
        left, top = gap + wide * (place % columns), gap + high * (place // columns)
        draw.text((left, top), title, fill=INK, font=font)
        sheet.paste(image, (left, top + 24))
    return np.array(sheet)


def _pale(picture: UInt8[np.ndarray, "S S 3"], side: int) -> Float[np.ndarray, "side side 3"]:
    """A picture at another size, most of its colour and all of its black gone."""
    small = Image.fromarray(picture).resize((side, side), Image.Resampling.LANCZOS)
    pixels = np.asarray(small, dtype=np.float32)
    grey = pixels.mean(-1, keepdims=True)
    pale: Float[np.ndarray, "side side 3"] = 105 + (0.3 * pixels + 0.7 * grey) * (150 / 255)
    return pale


def _colours(values: Float[np.ndarray, "*any"], scale: Sequence[tuple[int, int, int]]) -> Float[np.ndarray, "*any 3"]:
    """Values in [0, 1] as colours of a scale."""
    stops = np.linspace(0, 1, len(scale))
    channels = [np.interp(values, stops, [colour[channel] for colour in scale]) for channel in range(3)]
    return np.stack(channels, -1)


def _percent(weight: float) -> str:
    return f"{100 * weight:.0f}"


DRAW: dict[str, Callable[[AttentionMaps, Sequence[Panel]], UInt8[np.ndarray, "height width 3"]]] = {
    "word-region": draw_words_over_cells,
    "region-word": draw_cells_over_words,
    "word-word": draw_words,
    "region-region": draw_cells,
}
"""How each kind is drawn."""
