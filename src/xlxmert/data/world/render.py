"""From a scene of the built-in world to its picture."""

import numpy as np
from PIL import Image

from xlxmert.data.world.lexicon import SIZES
from xlxmert.data.world.scene import Item, Scene
from xlxmert.data.world.settings import SIDE, draw_setting
from xlxmert.data.world.sprites import draw_sprite

CELL = SIDE // 8


def paste_item(picture: Image.Image, item: Item) -> None:
    """Draw one sprite into an RGB picture, centred on its cells."""
    side = SIZES[item.size]
    margin = (item.span * CELL - side) // 2
    sprite = draw_sprite(item.sprite, item.colour, side)
    picture.paste(sprite, (item.x * CELL + margin, item.y * CELL + margin), sprite)


def render(scene: Scene) -> np.ndarray:
    """The picture of a scene: uint8 RGB, (256, 256, 3)."""
    picture = draw_setting(scene.setting, scene.variant).copy()
    for item in scene.items:
        paste_item(picture, item)
    return np.asarray(picture)
