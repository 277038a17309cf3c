"""The bundled checkpoint: X-LXMERT and its generator, trained from nothing on the built-in world.

    python -m xlxmert.recipes.world --out runs/world

walks the whole road, and goes on where it was stopped when it is called again:

1. ``vocabulary.safetensors``  visual vocabulary, fitted on rendered pictures
2. ``store/``                  codes of all training pictures, captions and questions
3. ``pretrain/``               the transformer
4. ``render/``                 the image generator, on the same codes
5. ``checkpoint/``             everything that `Studio.from_pretrained` needs, with its scores and model card

Time and scores of the run that made the bundled checkpoint: docs/results.md.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xlxmert.convert.folder import Bundle
from xlxmert.core.errors import XlxmertError
from xlxmert.core.files import read_json, write_json
from xlxmert.data.answers import AnswerTable
from xlxmert.data.cells import label_cells
from xlxmert.data.store import Sentence, Store, write_store
from xlxmert.data.tokenizer import Tokenizer
from xlxmert.data.world.annotations import captions_of, instances_of, vqa_of
from xlxmert.data.world.render import render as render_scene
from xlxmert.data.world.scene import WORLD, Cut, make_scene
from xlxmert.models.base import Transformer
from xlxmert.models.config import ModelConfig
from xlxmert.models.generator import Generator, GeneratorConfig
from xlxmert.models.generator.presets import WORLD as WORLD_GENERATOR
from xlxmert.models.lxmert.presets import WORLD as WORLD_MODEL
from xlxmert.recipes import train_store
from xlxmert.recipes.card import model_card
from xlxmert.recipes.codebook import REMEMBERED, TAUGHT, cell_labels, remembered
from xlxmert.recipes.evaluate import evaluate_world
from xlxmert.recipes.train_store import (
    GUIDANCE,
    OBJECTIVES,
    PRETRAIN_BATCH,
    PRETRAIN_STEPS,
    RENDER_BATCH,
    RENDER_STEPS,
    WARM_START,
    Prepared,
    pretrain_loop,
    render_loop,
)
from xlxmert.studio import Studio
from xlxmert.tasks.pretrain import PretrainConfig
from xlxmert.tasks.render import RenderConfig
from xlxmert.vision.backbone import load_backbone
from xlxmert.vision.labels import LESSONS, CellLabels
from xlxmert.vision.regions import FeatureSpec
from xlxmert.vision.vocabulary import FeatureExtractor, VisualVocabulary, fit_vocabulary


@dataclass(frozen=True)
class WorldRecipe:
    """Sizes and lengths of the run."""

    pictures: int = 20_000
    """Training pictures."""
    seed: int = 0
    """Seed of the world and of training."""
    cut: Cut = WORLD
    """The part of the world that is used."""
    codes: int = 8192
    """K, size of the visual vocabulary."""
    features: FeatureSpec = TAUGHT
    """What a code stands for."""
    vocabulary_pictures: int = 12_000
    """Pictures that the vocabulary is fitted on."""
    balance: float = 4.0
    """How much k-means prefers things to plain areas."""
    iterations: int = 10
    """Rounds of k-means."""
    lessons: int = LESSONS
    """Steps in which the features are taught to tell things apart."""
    model: ModelConfig = WORLD_MODEL
    """The transformer; the data fill its vocabulary, codes, feature width and answers."""
    generator: GeneratorConfig = WORLD_GENERATOR
    """The image generator; the data fill its feature width."""
    pretrain: PretrainConfig = OBJECTIVES
    """Objectives."""
    pretrain_steps: int = PRETRAIN_STEPS
    """Steps of pre-training."""
    pretrain_batch: int = PRETRAIN_BATCH
    """Sentences per step of pre-training."""
    render: RenderConfig = WARM_START
    """Losses of the image generator."""
    render_steps: int = RENDER_STEPS
    """Steps of the image generator."""
    render_batch: int = RENDER_BATCH
    """Pictures per step of the image generator."""
    guidance: float = GUIDANCE
    """How much stronger than learned the words speak when the checkpoint paints."""
    splits: tuple[str, ...] = ("test", "heldout")
    """Splits that the checkpoint is scored on."""
    scored: int = 200
    """Pictures per split that it is scored on."""
    log: Callable[[str], None] = print
    """Where progress goes."""


def run(out: Path, recipe: WorldRecipe = WorldRecipe(), quiet: bool = False) -> Bundle:
    """Walk the road into ``out``, each stage only if it is not there yet, and return the checkpoint."""
    out = Path(out)
    _remember(out, recipe)
    vocabulary = visual_vocabulary(out, recipe)
    prepared = Prepared(prepare(out, recipe, vocabulary), vocabulary)
    model = pretrain(out, recipe, prepared, quiet)
    generator = render(out, recipe, prepared, quiet)
    facts = {
        "recipe": facts_of(recipe),
        "steps": [recipe.pretrain_steps, recipe.render_steps],
        "scored": recipe.scored,
        "guidance": recipe.guidance,
    }
    if (done := _scored(out / "checkpoint", facts)) is not None:
        return done
    bundle = prepared.bundle(model, generator, facts)
    bundle.save_pretrained(out / "checkpoint")
    return score(out, recipe, bundle)


def _scored(folder: Path, facts: dict[str, Any]) -> Bundle | None:
    """The checkpoint of an earlier call, if it is this recipe's and has its scores."""
    if not (folder / "config.json").exists():
        return None
    bundle = Bundle.from_pretrained(folder)
    same = "scores" in bundle.facts and all(bundle.facts.get(name) == value for name, value in facts.items())
    return bundle if same else None


def score(out: Path, recipe: WorldRecipe, bundle: Bundle) -> Bundle:
    """Measure the checkpoint on unseen pictures and write its scores and model card."""
    scores = {}
    for split in recipe.splits:
        recipe.log(f"scoring {recipe.scored} pictures of the split {split}")
        scores[split] = evaluate_world(Studio(bundle), recipe.scored, split, recipe.seed, cut=recipe.cut)
    rounded = {split: {name: round(value, 4) for name, value in found.items()} for split, found in scores.items()}
    training = {
        "training pictures": recipe.pictures,
        "pre-training": f"{recipe.pretrain_steps} steps of {recipe.pretrain_batch} sentences",
        "image generator": f"{recipe.render_steps} steps of {recipe.render_batch} pictures",
        "scored on": f"the first {recipe.scored} pictures of each split",
    }
    bundle.facts["scores"] = rounded
    bundle.card = model_card(bundle, rounded, training)
    bundle.save_pretrained(out / "checkpoint")
    return bundle


def _remember(out: Path, recipe: WorldRecipe) -> None:
    """Write the recipe beside its results; refuse a folder that another recipe began."""
    facts = facts_of(recipe)
    path = out / "recipe.json"
    if path.exists() and (found := read_json(path)) != facts:
        names = sorted(name for name in facts if facts[name] != found.get(name))
        raise XlxmertError(
            f"expected the recipe of {path}, found other values of {', '.join(names)}: choose another --out folder"
        )
    write_json(path, facts)


def facts_of(recipe: WorldRecipe) -> dict[str, Any]:
    """The recipe's data-deciding fields as JSON; lengths of training may change from call to call."""
    free = {"log", "splits", "scored", "pretrain_steps", "render_steps", "model", "generator", "pretrain", "render"}
    free |= {"guidance"}
    return {f.name: _plain(getattr(recipe, f.name)) for f in dataclasses.fields(recipe) if f.name not in free}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {key: _plain(item) for key, item in dataclasses.asdict(value).items()}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


def picture(recipe: WorldRecipe, index: int) -> np.ndarray:
    """A training picture."""
    return np.array(render_scene(make_scene("train", recipe.seed, index, recipe.cut)))


def pictures(recipe: WorldRecipe, count: int) -> Iterator[np.ndarray]:
    """The first training pictures."""
    return (picture(recipe, index) for index in range(count))


def visual_vocabulary(out: Path, recipe: WorldRecipe) -> VisualVocabulary:
    """Fit the visual vocabulary, or read it."""
    path = out / "vocabulary.safetensors"
    if not path.exists():
        recipe.log(f"fitting {recipe.codes} codes on {min(recipe.vocabulary_pictures, recipe.pictures)} pictures")
        with half_precision():
            backbone = load_backbone(deepest=max(recipe.features.deepest, 2))
            extractor = FeatureExtractor.fit(backbone, recipe.features, pictures(recipe, min(600, recipe.pictures)))
            count = min(recipe.vocabulary_pictures, recipe.pictures)
            fitted = fit_vocabulary(
                extractor,
                pictures(recipe, count),
                recipe.codes,
                recipe.iterations,
                recipe.seed,
                balance=recipe.balance,
                per_code=32,
                labels=functools.partial(labels, recipe, count) if recipe.features.embedded else None,
                lessons=recipe.lessons,
            )
        remembered(fitted, list(pictures(recipe, min(REMEMBERED, recipe.pictures))), 256).save(path)
    return VisualVocabulary.load(path)


def labels(recipe: WorldRecipe, count: int) -> CellLabels:
    """What stands in the cells of the first training pictures, as their annotations say."""
    scenes = (make_scene("train", recipe.seed, index, recipe.cut) for index in range(count))
    instances = [instances_of(scene, "train", index) for index, scene in enumerate(scenes)]
    return cell_labels(label_cells(instances, recipe.features.grid))


def half_precision() -> Any:
    """Half precision for the backbone where it is fast."""
    return torch.autocast("cuda" if torch.cuda.is_available() else "cpu", torch.bfloat16)


def prepare(out: Path, recipe: WorldRecipe, vocabulary: VisualVocabulary) -> Store:
    """Write the store, or open it."""
    folder = out / "store"
    if not (folder / "store.json").exists():
        recipe.log(f"preparing {recipe.pictures} pictures with their captions and questions")
        with half_precision():
            codes = torch.cat([codes for _, codes in vocabulary.extract(pictures(recipe, recipe.pictures))])
        sentences = [s for index in range(recipe.pictures) for s in _sentences(recipe, index)]
        answers = AnswerTable(sorted({answer for s in sentences for answer in s.answers or {}}))
        write_store(
            folder,
            codes.numpy().astype(np.uint16),
            [str(index) for index in range(recipe.pictures)],
            sentences,
            Tokenizer.train([s.text for s in sentences], 4000),
            answers,
            vocabulary.codebook.fingerprint,
            recipe.codes,
        )
    return Store.open(folder, vocabulary.codebook.fingerprint)


def _sentences(recipe: WorldRecipe, index: int) -> list[Sentence]:
    """Captions and questions of a picture, the same as the data-set files hold."""
    key = ("train", recipe.seed, index)
    scene = make_scene(*key, recipe.cut)
    captions = [Sentence(caption.text, index) for caption in captions_of(scene, *key)]
    return captions + [Sentence(asked.text, index, "question", asked.answers) for asked in vqa_of(scene, *key)]


def pretrain(out: Path, recipe: WorldRecipe, prepared: Prepared, quiet: bool = False) -> Transformer:
    """Train the transformer, going on from its last checkpoint."""
    loop = pretrain_loop(
        out / "pretrain", steps=recipe.pretrain_steps, batch_size=recipe.pretrain_batch, seed=recipe.seed, quiet=quiet
    )
    return train_store.pretrain(prepared, recipe.model, recipe.pretrain, loop)


def render(out: Path, recipe: WorldRecipe, prepared: Prepared, quiet: bool = False) -> Generator:
    """Train the image generator, going on from its last checkpoint."""
    loop = render_loop(
        out / "render", steps=recipe.render_steps, batch_size=recipe.render_batch, seed=recipe.seed, quiet=quiet
    )
    return train_store.render(prepared, lambda index: picture(recipe, index), recipe.generator, recipe.render, loop)


def main() -> None:
    """Run the recipe from the command line."""
    import tyro

    def world(
        out: Path = Path("runs/world"),
        pretrain_steps: int = WorldRecipe.pretrain_steps,
        render_steps: int = WorldRecipe.render_steps,
    ) -> None:
        """Train the bundled checkpoint; call it again to go on after a stop."""
        run(out, WorldRecipe(pretrain_steps=pretrain_steps, render_steps=render_steps))

    tyro.cli(world)


if __name__ == "__main__":
    main()
