"""The whole road at toy size: world, vocabulary, store, training, checkpoint, then paint, caption, answer, score."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from xlxmert.core.errors import XlxmertError
from xlxmert.data.world.scene import Cut
from xlxmert.models.generator.presets import WORLD as WORLD_GENERATOR
from xlxmert.models.lxmert.presets import WORLD as WORLD_MODEL
from xlxmert.recipes.evaluate import evaluate_world
from xlxmert.recipes.world import WorldRecipe, run
from xlxmert.sampling import MaskPredict
from xlxmert.studio import Studio
from xlxmert.vision.regions import FeatureSpec

CUT = Cut(nouns=("car", "dog", "heart"), colours=("red", "blue"), settings=("beach", "night"), variants=1, sizes=False)
RECIPE = WorldRecipe(
    pictures=24,
    cut=CUT,
    codes=48,
    features=FeatureSpec(depths=(), colour_parts=4, kept=24, whiten=0.5),
    vocabulary_pictures=24,
    iterations=4,
    model=dataclasses.replace(WORLD_MODEL, width=32, heads=2, feed_forward=64, language_layers=1, cross_layers=1),
    generator=dataclasses.replace(
        WORLD_GENERATOR, bottleneck=16, stem=16, condition=8, widths=(16, 16, 8, 8, 8), spade_hidden=8, trunk=1
    ),
    render=dataclasses.replace(WorldRecipe().render, perceptual=0.0),
    pretrain_steps=6,
    pretrain_batch=8,
    render_steps=2,
    render_batch=2,
    splits=("test",),
    scored=2,
    log=lambda text: None,
)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("road")
    run(folder, RECIPE, quiet=True)
    return folder


def test_the_road_ends_in_a_checkpoint_that_can_do_everything(out: Path) -> None:
    studio = Studio.from_pretrained(out / "checkpoint")
    painting = studio.paint("a red car on the beach", seed=1, sampler=MaskPredict(2))[0]
    assert painting.picture.shape == (256, 256, 3) and painting.codes.max() < 48
    assert len(studio.answer(painting, "what color is the car ?")[0][0]) == 3
    assert 0 <= studio.match(painting, ["a red car"])[0, 0] <= 1
    assert studio.caption(painting)[0][0].text


def test_the_checkpoint_carries_scores_and_a_card(out: Path) -> None:
    config = json.loads((out / "checkpoint" / "config.json").read_text())
    scores = config["facts"]["scores"]["test"]
    assert {"paint/facts", "rebuild/facts", "vqa/overall", "caption/CIDEr-D", "match/accuracy"} <= scores.keys()
    card = (out / "checkpoint" / "README.md").read_text()
    assert f"| VQA accuracy | {100 * scores['vqa/overall']:.1f} % |" in card


def test_walking_again_changes_nothing(out: Path) -> None:
    before = {path: path.read_bytes() for path in sorted((out / "checkpoint").iterdir())}
    stamp = (out / "store" / "store.json").stat().st_mtime_ns
    run(out, RECIPE, quiet=True)
    assert (out / "store" / "store.json").stat().st_mtime_ns == stamp
    names = [path for path, content in before.items() if path.read_bytes() != content and path.suffix == ".safetensors"]
    assert names in ([], [out / "checkpoint" / "codebook.safetensors"])  # the order of its two metadata entries is free


def test_another_recipe_in_the_same_folder_is_refused(out: Path) -> None:
    with pytest.raises(XlxmertError, match="other values of codes, seed"):
        run(out, dataclasses.replace(RECIPE, seed=5, codes=32), quiet=True)


def test_the_same_seed_gives_the_same_scores(out: Path) -> None:
    studio = Studio.from_pretrained(out / "checkpoint")
    one = evaluate_world(studio, 2, cut=CUT, tasks=("paint",))
    assert one == evaluate_world(studio, 2, cut=CUT, tasks=("paint",))


def test_a_picture_painted_in_a_batch_is_the_one_painted_alone(out: Path) -> None:
    studio = Studio.from_pretrained(out / "checkpoint")
    prompts = ["a red car on the beach", "there are two blue hearts to the left of a dog at night"]
    together = studio.paint(prompts, seeds=[3, 4])
    for prompt, seed, painting in zip(prompts, (3, 4), together, strict=True):
        alone = studio.paint(prompt, seed=seed)[0]
        assert np.array_equal(alone.codes, painting.codes)
        assert np.abs(alone.picture.astype(int) - painting.picture).max() <= 1
