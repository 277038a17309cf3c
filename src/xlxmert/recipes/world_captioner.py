"""The bundled captioner: an XGPT, trained from nothing on the training pictures of the bundled checkpoint.

    python -m xlxmert.recipes.world_captioner --out runs/world-captioner

walks the road, and goes on where it was stopped when it is called again:

1. ``store/``      captions and exact features of the 20,000 training pictures, as the bundled checkpoint looks at them
2. ``captioner/``  captioning, four captions of a picture at a time
3. ``checkpoint/`` the captioner with its scores and model card

The bundled checkpoint saw 20,000 steps of 64 sentences; this sees 5,000 of 256 captions, which is as many. Time and
scores: docs/results.md.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from xlxmert.convert.captioner import Captioner
from xlxmert.convert.folder import Bundle
from xlxmert.core.errors import XlxmertError
from xlxmert.data.answers import AnswerTable
from xlxmert.data.store import Sentence, Store, write_store
from xlxmert.data.world.annotations import captions_of
from xlxmert.data.world.scene import make_scene
from xlxmert.models.xgpt import WORLD, XgptConfig
from xlxmert.recipes.captioner import BATCH, STEPS, as_captioner, captioner_loop, of_stage, train_captioner
from xlxmert.recipes.card import captioner_card
from xlxmert.recipes.encoding import encoded
from xlxmert.recipes.evaluate import evaluate_world
from xlxmert.recipes.train_store import Prepared
from xlxmert.recipes.world import WorldRecipe, half_precision, picture
from xlxmert.studio import Studio


@dataclass(frozen=True)
class CaptionerRecipe:
    """Sizes and lengths of the run."""

    world: WorldRecipe = field(default_factory=WorldRecipe)
    """Which pictures, and how many."""
    model: XgptConfig = WORLD
    """The transformer; the data fill its vocabulary and feature width."""
    steps: int = STEPS
    """Steps of training."""
    batch: int = BATCH
    """Captions per step."""
    splits: tuple[str, ...] = ("test", "heldout")
    """Splits that the captioner is scored on."""
    scored: int = 200
    """Pictures per split that it is scored on."""
    log: Callable[[str], None] = print
    """Where progress goes."""


def run(out: Path, recipe: CaptionerRecipe = CaptionerRecipe(), quiet: bool = False) -> Captioner:
    """Walk the road into ``out``, each stage only if it is not there yet, and return the captioner."""
    prepared = prepare(out, recipe)
    loop = captioner_loop(out / "captioner", recipe.steps, recipe.batch, recipe.world.seed, quiet)
    config = of_stage("captioning")
    model = train_captioner(prepared, recipe.model, config, loop)
    facts = {"pictures": recipe.world.pictures, "steps": recipe.steps, "batch": recipe.batch}
    captioner = as_captioner(model, prepared, config, facts)
    return score(out / "checkpoint", recipe, captioner)


def prepare(out: Path, recipe: CaptionerRecipe) -> Prepared:
    """Write the store, or open it.

    Raises:
        XlxmertError: the bundled checkpoint cannot look at pictures.
    """
    bundle, folder, world = Bundle.from_pretrained(), Path(out) / "store", recipe.world
    vocabulary = bundle.vocabulary
    if vocabulary is None:
        raise XlxmertError("expected a visual vocabulary in the bundled checkpoint, found none: reinstall xlxmert")
    if not (folder / "store.json").exists():
        recipe.log(f"preparing {world.pictures} pictures with their captions")
        with half_precision():
            pictures = (picture(world, index) for index in range(world.pictures))
            visual = encoded(vocabulary, pictures, keep_features=True)
        sentences = [each for index in range(world.pictures) for each in _captions(world, index)]
        names, codebook = [str(index) for index in range(world.pictures)], vocabulary.codebook
        write_store(
            folder, visual, names, sentences, bundle.tokenizer, AnswerTable(()), codebook.fingerprint, len(codebook)
        )
    return Prepared(Store.open(folder, vocabulary.codebook.fingerprint), vocabulary)


def _captions(world: WorldRecipe, index: int) -> list[Sentence]:
    """The captions of a picture, the same as the data-set files hold."""
    key = ("train", world.seed, index)
    return [Sentence(each.text, index) for each in captions_of(make_scene(*key, world.cut), *key)]


def score(folder: Path, recipe: CaptionerRecipe, captioner: Captioner) -> Captioner:
    """Measure the captioner on unseen pictures, and write it with its scores and model card."""
    studio, scores = Studio(Bundle.from_pretrained(), "auto", captioner), {}
    for split in recipe.splits:
        recipe.log(f"scoring {recipe.scored} pictures of the split {split}")
        found = evaluate_world(studio, recipe.scored, split, recipe.world.seed, ("caption",), cut=recipe.world.cut)
        scores[split] = {name: round(value, 4) for name, value in found.items()}
    captioner.facts["scores"] = scores
    captioner.card = captioner_card(captioner, scores)
    captioner.save_pretrained(folder, looks_as_bundled=True)
    return captioner


def main() -> None:
    """Run the recipe from the command line."""
    import tyro

    def world_captioner(out: Path = Path("runs/world-captioner"), steps: int = STEPS) -> None:
        """Train the bundled captioner; call it again to go on after a stop."""
        run(out, CaptionerRecipe(steps=steps))

    tyro.cli(world_captioner)


if __name__ == "__main__":
    main()
