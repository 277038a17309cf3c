"""Draw docs/editing.png: what `xlxmert edit` does to the first pictures of the built-in world, chosen by number.

    python scripts/draw_editing.py --out docs/editing.png

The pictures are numbers 0, 1 and 2 of the test split in the checkpoint's part of the world, the seed is 0, and all
words come from the world's own captions: for a region, the first thing of a picture becomes the first thing of the next
one; for blanks, the thing's name is left out and its cells are hidden.
"""

import dataclasses
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tyro
from PIL import Image, ImageDraw, ImageFont

from xlxmert.core.axes import UInt8
from xlxmert.data.world.captions import Caption, make_captions
from xlxmert.data.world.lexicon import PLURALS
from xlxmert.data.world.render import render
from xlxmert.data.world.scene import Cut, Scene, make_scene
from xlxmert.studio import Edited, Studio

PICTURES = (0, 1, 2)
HEIGHT, GAP, LINE = 150, 8, 15
"""Pixels: of a picture, between pictures, and of a line of text."""
Tile = tuple[UInt8[np.ndarray, "height width 3"], str]
Corners = tuple[float, float, float, float]


def told(scene: Scene, index: int) -> Caption:
    """The scene's first caption that names its setting."""
    captions = make_captions(scene, "test", 0, index, count=20)
    return next(caption for caption in captions if ("setting", scene.setting) in caption.facts)


def first_things(scene: Scene) -> Corners:
    """The rectangle around all things of the first noun."""
    left, top, right, bottom = zip(*(item.box for item in scene.groups[0]), strict=True)
    return min(left), min(top), max(right), max(bottom)


def swapped(scene: Scene, other: Scene) -> Scene:
    """The scene with the other's first thing in place of its own."""
    old, new = scene.groups[0][0], other.groups[0][0]
    kept = {"noun": new.noun, "colour": new.colour, "action": new.action}
    items = tuple(dataclasses.replace(item, **kept) if item.noun == old.noun else item for item in scene.items)
    return dataclasses.replace(scene, items=items)


def blanked(caption: str, noun: str) -> str:
    """The caption with a blank for the noun."""
    for name in (PLURALS[noun], noun):
        if f" {name} " in f" {caption} ":
            return f" {caption} ".replace(f" {name} ", " ___ ").strip()
    return caption


def marked(picture: UInt8[np.ndarray, "S S 3"], region: Corners) -> UInt8[np.ndarray, "S S 3"]:
    """The picture with a frame around what is painted anew."""
    image = Image.fromarray(picture)
    x0, y0, x1, y1 = (round(value * len(picture)) for value in region)
    ImageDraw.Draw(image).rectangle((x0, y0, x1 - 1, y1 - 1), outline=(230, 30, 30), width=4)
    return np.array(image)


def strip(title: str, tiles: Sequence[Tile]) -> Image.Image:
    """A row of pictures of one height with a title above and a text under each."""
    font = ImageFont.load_default(12)
    sizes = [round(HEIGHT * picture.shape[1] / picture.shape[0]) for picture, _ in tiles]
    texts = [textwrap.wrap(text, size // 6) for size, (_, text) in zip(sizes, tiles, strict=True)]
    width = sum(sizes) + GAP * (len(tiles) + 1)
    sheet = Image.new("RGB", (width, 2 * GAP + LINE + HEIGHT + LINE * max(map(len, texts))), "white")
    draw, left = ImageDraw.Draw(sheet), GAP
    draw.text((GAP, GAP // 2), title, fill="black", font=ImageFont.load_default(14))
    for (picture, _), size, lines in zip(tiles, sizes, texts, strict=True):
        small = Image.fromarray(picture).resize((size, HEIGHT), Image.Resampling.LANCZOS)
        sheet.paste(small, (left, GAP + LINE))
        for number, line in enumerate(lines):
            draw.text((left, GAP + LINE + HEIGHT + 2 + LINE * number), line, fill="black", font=font)
        left += size + GAP
    return sheet


def rows(studio: Studio, scenes: Sequence[Scene]) -> list[Image.Image]:
    """The four rows of the sheet."""
    pictures = [render(scene).copy() for scene in scenes]
    captions = [told(scene, index).text for scene, index in zip(scenes, PICTURES, strict=True)]
    changed = [swapped(scene, scenes[(place + 1) % len(scenes)]) for place, scene in enumerate(scenes)]
    regions = [first_things(scene) for scene in scenes]

    def pair(place: int, text: str, change: Callable[..., list[Edited]]) -> list[Tile]:
        (edited,) = change(pictures[place], text, regions[place])
        return [(marked(pictures[place], regions[place]), text), (edited.picture, edited.prompt)]

    def grown(place: int) -> Tile:
        return studio.extend(pictures[place], captions[place], "right", times=2)[0].picture, captions[place]

    def varied(place: int, strength: float) -> Tile:
        return studio.vary(pictures[place], captions[place], strength)[0].picture, f"--vary {strength}"

    places = range(len(scenes))
    sentences = [told(scene, index).text for scene, index in zip(changed, PICTURES, strict=True)]
    gaps = [blanked(text, scene.groups[0][0].noun) for text, scene in zip(captions, scenes, strict=True)]
    found = [[tile for place in places for tile in pair(place, sentences[place], studio.edit)]]
    found += [[grown(place) for place in places]]
    plain = [(picture, caption) for picture, caption in zip(pictures, captions, strict=True)]
    found += [[tile for place in places[:2] for tile in (plain[place], varied(place, 0.3), varied(place, 0.6))]]
    found += [[tile for place in places for tile in pair(place, gaps[place], studio.complete)]]
    titles = (
        "a region, in the frame, painted anew",
        "--extend right --times 2",
        "variations of a picture",
        "words (___) and cells (in the frame) found together",
    )
    return [strip(title, tiles) for title, tiles in zip(titles, found, strict=True)]


def draw(out: Path = Path("docs/editing.png"), checkpoint: str | None = None) -> None:
    """Draw the sheet."""
    studio = Studio.from_pretrained(checkpoint)
    stored = studio.bundle.facts["recipe"]["cut"]
    cut = Cut(**{name: tuple(item) if isinstance(item, list) else item for name, item in stored.items()})
    parts = rows(studio, [make_scene("test", 0, index, cut) for index in PICTURES])
    sheet = Image.new("RGB", (max(part.width for part in parts), sum(part.height for part in parts)), "white")
    top = 0
    for part in parts:
        sheet.paste(part, (0, top))
        top += part.height
    sheet.save(out, optimize=True)


if __name__ == "__main__":
    tyro.cli(draw)
