"""The whole road in small: a cut of the built-in world, from rendered pictures to a checkpoint that does everything.

    xlxmert demo --from-scratch

Sixteen nouns, five colours, five settings; at most 15 minutes on two CPU cores. Time and scores: docs/results.md.
"""

import dataclasses
from pathlib import Path

from xlxmert.data.world.scene import Cut
from xlxmert.models.lxmert.presets import WORLD as WORLD_MODEL
from xlxmert.recipes.train_store import OBJECTIVES
from xlxmert.recipes.world import WorldRecipe
from xlxmert.recipes.world import run as run_world

SMALL_CUT = Cut(
    nouns=("car", "truck", "heart", "balloon", "umbrella", "chair", "dog", "cat", "zebra", "elephant", "tree", "house",
           "pizza", "airplane", "man", "woman"),
    colours=("red", "yellow", "green", "blue", "black"),
    settings=("field", "beach", "snow", "night", "desert"),
    variants=2,
    sizes=False,
)  # fmt: skip
"""The part of the world that fifteen minutes are enough for."""

SMALL = WorldRecipe(
    pictures=2000,
    cut=SMALL_CUT,
    codes=768,
    vocabulary_pictures=1200,
    lessons=800,
    model=dataclasses.replace(WORLD_MODEL, cross_layers=3),
    pretrain=dataclasses.replace(
        OBJECTIVES, optim=dataclasses.replace(OBJECTIVES.optim, lr=1e-3, muon_lr=0.02)
    ),  # a short run bears higher rates
    pretrain_steps=1100,
    render_steps=350,
    splits=("test",),
    scored=60,
)
"""The recipe of ``xlxmert demo --from-scratch``."""


def run(out: Path, recipe: WorldRecipe = SMALL) -> Path:
    """Walk the road into ``out`` (going on where an earlier call stopped) and return the checkpoint's folder."""
    run_world(out, recipe)
    return out / "checkpoint"
