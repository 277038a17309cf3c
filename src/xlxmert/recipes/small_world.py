"""The whole road in small: a cut of the built-in world, from rendered pictures to a checkpoint that does everything.

    xlxmert demo --from-scratch

Ten nouns, four colours, four settings; at most 15 minutes on two CPU cores. Time and scores: docs/results.md.
"""

import dataclasses
from pathlib import Path

from xlxmert.data.world.scene import Cut
from xlxmert.models.lxmert.presets import WORLD as WORLD_MODEL
from xlxmert.recipes.train_store import OBJECTIVES
from xlxmert.recipes.world import WorldRecipe
from xlxmert.recipes.world import run as run_world

SMALL_CUT = Cut(
    nouns=("car", "heart", "balloon", "umbrella", "chair", "dog", "zebra", "tree", "house", "airplane"),
    colours=("red", "yellow", "green", "blue"),
    settings=("field", "beach", "snow", "night"),
    variants=1,
    sizes=False,
)
"""The part of the world that fifteen minutes are enough for."""

SMALL = WorldRecipe(
    pictures=2000,
    cut=SMALL_CUT,
    codes=512,
    vocabulary_pictures=1200,
    lessons=800,
    model=dataclasses.replace(WORLD_MODEL, cross_layers=3),
    pretrain=dataclasses.replace(
        OBJECTIVES,
        modalities=(0.5, 0.2, 0.3),
        most_cells=0,  # with few codes, the scores of all cells cost little
        optim=dataclasses.replace(OBJECTIVES.optim, lr=1e-3, muon_lr=0.02),  # a short run bears higher rates
    ),
    pretrain_steps=1250,
    render_steps=250,
    splits=("test",),
    scored=60,
)
"""The recipe of ``xlxmert demo --from-scratch``."""


def run(out: Path, recipe: WorldRecipe = SMALL) -> Path:
    """Walk the road into ``out`` (going on where an earlier call stopped) and return the checkpoint's folder."""
    run_world(out, recipe)
    return out / "checkpoint"
