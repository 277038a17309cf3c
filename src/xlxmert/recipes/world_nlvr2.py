"""NLVR2 on the built-in world: the bundled checkpoint, fine-tuned to judge statements about two pictures.

    python -m xlxmert.recipes.world_nlvr2 --out runs/world-nlvr2

1. ``store/``       pictures and statements of the training split, with the checkpoint's codes and words
2. ``finetune/``    the transformer with a head for pairs; goes on where it was stopped
3. ``checkpoint/``  the checkpoint that ``xlxmert verify --checkpoint`` takes, with its scores

Time and scores: docs/results.md.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xlxmert.convert.folder import Bundle
from xlxmert.data.answers import AnswerTable
from xlxmert.data.store import Sentence, Store, write_store
from xlxmert.data.tokenizer import Tokenizer
from xlxmert.data.world.render import render as render_scene
from xlxmert.data.world.scene import WORLD, Cut, Scene
from xlxmert.data.world.statements import make_pair_set
from xlxmert.recipes.encoding import encoded
from xlxmert.recipes.evaluate import evaluate_world
from xlxmert.recipes.finetune import NLVR2, finetune, finetune_loop
from xlxmert.recipes.world import half_precision
from xlxmert.studio import Studio
from xlxmert.vision.vocabulary import VisualVocabulary


@dataclass(frozen=True)
class WorldNlvr2:
    """Sizes and lengths of the run."""

    sets: int = 1500
    """Training sets: four pairs of pictures with one or two statements each."""
    steps: int = 3000
    """Steps of fine-tuning."""
    batch: int = 32
    """Statements a step."""
    scored: int = 200
    """Pictures of each split that it is scored on."""
    seed: int = 0
    """Of the world and of training."""


def statement_store(
    folder: Path,
    vocabulary: VisualVocabulary,
    tokenizer: Tokenizer,
    sets: int,
    seed: int = 0,
    cut: Cut = WORLD,
    features: bool = False,
    log: Callable[[str], None] = print,
) -> Store:
    """The store of the world's first ``sets`` sets of statements for training; what is there already is opened.

    Args:
        folder: where to.
        vocabulary: encodes the pictures.
        tokenizer: of the model to be fine-tuned.
        sets: how many.
        seed: of the world.
        cut: the part of the world.
        features: keep the cells' features beside the codes.
        log: is told what is done.

    Raises:
        XlxmertError: the folder holds a store of another codebook.
    """
    codebook = vocabulary.codebook
    if (folder / "store.json").exists():
        return Store.open(folder, codebook.fingerprint)
    log(f"preparing {sets} sets of statements")
    scenes: dict[str, Scene] = {}
    records = []
    for index in range(sets):
        pair_set = make_pair_set("train", seed, index, cut)
        scenes |= pair_set.pictures()
        records += pair_set.records()
    places = {name: place for place, name in enumerate(scenes)}
    drawn = (np.array(render_scene(scene)) for scene in scenes.values())
    with half_precision():
        arrays = encoded(vocabulary, drawn, features)
    sentences = [
        Sentence(r.sentence, places[r.left_id], "statement", second=places[r.right_id], truth=r.label) for r in records
    ]
    answers, size = AnswerTable([]), len(codebook)
    return write_store(folder, arrays, list(scenes), sentences, tokenizer, answers, codebook.fingerprint, size)


def run(out: Path, recipe: WorldNlvr2 = WorldNlvr2(), start: str | Path | None = None) -> Bundle:
    """Walk through all stages, each only if it is not there yet, and return the checkpoint.

    Args:
        out: where everything goes.
        recipe: sizes and lengths.
        start: the checkpoint to start from, by default the bundled one.
    """
    bundle = Bundle.from_pretrained(start)
    assert bundle.vocabulary is not None
    store = statement_store(out / "store", bundle.vocabulary, bundle.tokenizer, recipe.sets, recipe.seed)
    loop = finetune_loop(out / "finetune", recipe.steps, recipe.batch, recipe.seed)
    tuned = finetune(bundle, store, NLVR2, loop)
    scores = {
        split: evaluate_world(Studio(tuned), recipe.scored, split, recipe.seed, tasks=("nlvr2",))
        for split in ("test", "heldout")
    }
    tuned.facts["scores"] = scores
    tuned.save_pretrained(out / "checkpoint")
    return tuned


def main() -> None:
    """Run the recipe from the command line."""
    import tyro

    def world_nlvr2(out: Path = Path("runs/world-nlvr2"), steps: int = WorldNlvr2.steps) -> None:
        """Fine-tune the bundled checkpoint on statements about two pictures; call it again to go on after a stop."""
        print(run(out, dataclasses.replace(WorldNlvr2(), steps=steps)).facts["scores"])

    tyro.cli(world_nlvr2)


if __name__ == "__main__":
    main()
