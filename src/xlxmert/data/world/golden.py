"""A few pictures of the built-in world that are the same everywhere: what features are held against each other with."""

import numpy as np

from xlxmert.core.axes import UInt8
from xlxmert.data.world.render import render
from xlxmert.data.world.scene import make_scene

COUNT = 4
"""How many there are."""


def golden_pictures() -> dict[str, UInt8[np.ndarray, "256 384 3"]]:
    """The pictures by name: wide ones, so that squashing and cropping differ, of two scenes side by side."""
    scenes = [render(make_scene("test", 0, index)) for index in range(2 * COUNT)]
    return {
        f"golden-{number}": np.concatenate([scenes[2 * number], scenes[2 * number + 1][:, :128]], axis=1)
        for number in range(COUNT)
    }
