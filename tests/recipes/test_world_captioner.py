"""The bundled captioner's recipe, in small: true pictures and rebuilt ones, a few steps, scores, and going on."""

import dataclasses
from pathlib import Path

import numpy as np

from xlxmert.convert.captioner import Captioner
from xlxmert.data.store import Store
from xlxmert.models.xgpt import TINY
from xlxmert.recipes.world import WorldRecipe
from xlxmert.recipes.world_captioner import CaptionerRecipe, run


def test_the_road_in_small(tmp_path: Path) -> None:
    recipe = CaptionerRecipe(
        world=WorldRecipe(pictures=5),
        rebuilt=3,
        model=dataclasses.replace(TINY, max_text=64),
        steps=2,
        second=1,
        batch=8,
        splits=("test",),
        scored=2,
        log=lambda text: None,
    )
    captioner = run(tmp_path, recipe, quiet=True)
    store = Store.open(tmp_path / "both")
    assert store.facts["pictures"] == ["0", "1", "2", "3", "4", "0 rebuilt", "1 rebuilt", "2 rebuilt"]
    pictures, words = store.arrays["picture"], store.padded(range(len(store.arrays["picture"])))
    assert np.bincount(pictures).tolist() == [5] * 8
    for place in range(3):  # the same captions of other features
        assert (words[pictures == place] == words[pictures == 5 + place]).all()
        same = store.codes[place] == store.codes[5 + place]
        assert 0.1 < same.mean() < 0.9
    assert "caption/facts" in captioner.facts["scores"]["test"]
    assert Captioner.from_pretrained(tmp_path / "checkpoint").facts["steps"] == 3
