"""The bundled captioner: an XGPT, trained from nothing on the training pictures of the bundled checkpoint.

    python -m xlxmert.recipes.world_captioner --out runs/world-captioner

walks the road, and goes on where it was stopped when it is called again:

1. ``store/``      captions and exact features of the 20,000 training pictures, as the bundled checkpoint looks at them
2. ``captioner/``  captioning, four captions of a picture at a time
3. ``both/``       the same, and 8,000 of them once more as the checkpoint paints them when it knows their codes
4. ``second/``     captioning of these, at half the rates
5. ``checkpoint/`` the captioner with its scores and model card

The bundled checkpoint saw 20,000 steps of 64 sentences; the first stage sees 5,000 of 256 captions, which is as many.
Time and scores: docs/results.md.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from xlxmert.convert.captioner import Captioner
from xlxmert.convert.folder import Bundle
from xlxmert.core.axes import UInt8
from xlxmert.core.errors import XlxmertError
from xlxmert.data.answers import AnswerTable
from xlxmert.data.store import Sentence, Store, write_store
from xlxmert.data.tokenizer import Tokenizer
from xlxmert.data.world.annotations import captions_of
from xlxmert.data.world.scene import make_scene
from xlxmert.models.xgpt import WORLD, XgptConfig
from xlxmert.recipes.captioner import BATCH, OPTIM, STEPS, as_captioner, captioner_loop, of_stage, train_captioner
from xlxmert.recipes.card import captioner_card
from xlxmert.recipes.encoding import encoded
from xlxmert.recipes.evaluate import evaluate_world
from xlxmert.recipes.train_store import Prepared
from xlxmert.recipes.world import WorldRecipe, half_precision, picture
from xlxmert.studio import Studio
from xlxmert.vision.vocabulary import VisualVocabulary

SECOND = 2500
"""Steps of the second stage."""
HALF = dataclasses.replace(OPTIM, lr=OPTIM.lr / 2, muon_lr=OPTIM.muon_lr / 2)
"""Its rates."""
TOGETHER = 64
"""Pictures that are rebuilt at a time."""


@dataclass(frozen=True)
class CaptionerRecipe:
    """Sizes and lengths of the run."""

    world: WorldRecipe = field(default_factory=WorldRecipe)
    """Which pictures, and how many."""
    rebuilt: int = 8_000
    """How many of them are read a second time, painted from their true codes: six of ten cells of such a picture have
    another code than they were painted from, and a captioner that saw true pictures alone misreads what is painted."""
    model: XgptConfig = WORLD
    """The transformer; the data fill its vocabulary and feature width."""
    steps: int = STEPS
    """Steps on true pictures."""
    second: int = SECOND
    """Steps on true and rebuilt pictures."""
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
    bundle, seed = Bundle.from_pretrained(), recipe.world.seed
    config = of_stage("captioning")
    loop = captioner_loop(out / "captioner", recipe.steps, recipe.batch, seed, quiet)
    first = prepare(out / "store", recipe, bundle)
    model = train_captioner(first, recipe.model, config, loop)
    both = with_rebuilt(out / "both", recipe, bundle, first)
    second = captioner_loop(out / "second", recipe.second, recipe.batch, seed, quiet)
    model = train_captioner(both, model, dataclasses.replace(config, optim=HALF), second)
    facts = {"pictures": recipe.world.pictures, "steps": recipe.steps + recipe.second, "batch": recipe.batch}
    captioner = as_captioner(model, both, config, facts | {"rebuilt": recipe.rebuilt})
    return score(out / "checkpoint", recipe, captioner)


def prepare(folder: Path, recipe: CaptionerRecipe, bundle: Bundle) -> Prepared:
    """Write the store of the pictures, or open it.

    Raises:
        XlxmertError: the bundled checkpoint cannot look at pictures.
    """
    vocabulary, world = bundle.vocabulary, recipe.world
    if vocabulary is None:
        raise XlxmertError("expected a visual vocabulary in the bundled checkpoint, found none: reinstall xlxmert")
    if not (folder / "store.json").exists():
        recipe.log(f"preparing {world.pictures} pictures with their captions")
        with half_precision():
            true = (picture(world, index) for index in range(world.pictures))
            visual = encoded(vocabulary, true, keep_features=True)
        _write(folder, world, bundle.tokenizer, vocabulary, visual)
    return Prepared(Store.open(folder, vocabulary.codebook.fingerprint), vocabulary)


def with_rebuilt(folder: Path, recipe: CaptionerRecipe, bundle: Bundle, first: Prepared) -> Prepared:
    """Write a store of the first one's pictures and of some of them rebuilt from their codes, or open it."""
    vocabulary = first.vocabulary
    assert isinstance(vocabulary, VisualVocabulary)
    if not (folder / "store.json").exists():
        recipe.log(f"preparing {recipe.rebuilt} pictures once more, rebuilt from their codes")
        with half_precision():
            again = encoded(vocabulary, _rebuilt(Studio(bundle), recipe.world, recipe.rebuilt), keep_features=True)
        visual = {name: np.concatenate([first.store.picture_array(name), rows]) for name, rows in again.items()}
        _write(folder, recipe.world, bundle.tokenizer, vocabulary, visual)
    return Prepared(Store.open(folder, vocabulary.codebook.fingerprint), vocabulary)


def _write(
    folder: Path,
    world: WorldRecipe,
    tokenizer: Tokenizer,
    vocabulary: VisualVocabulary,
    visual: Mapping[str, np.ndarray],
) -> None:
    """A store of all pictures, and of as many again, from the first on, as ``visual`` has more rows."""
    count, codebook = len(visual["codes"]), vocabulary.codebook
    shown = [*range(world.pictures), *range(count - world.pictures)]
    sentences = (each for place, index in enumerate(shown) for each in _captions(world, index, place))
    names = [f"{index}{' rebuilt' * (place >= world.pictures)}" for place, index in enumerate(shown)]
    write_store(folder, visual, names, sentences, tokenizer, AnswerTable(()), codebook.fingerprint, len(codebook))


def _rebuilt(studio: Studio, world: WorldRecipe, count: int) -> Iterator[UInt8[np.ndarray, "S S 3"]]:
    """The first pictures as the checkpoint paints them when it knows their codes."""
    for start in range(0, count, TOGETHER):
        some = range(start, min(start + TOGETHER, count))
        yield from (each.picture for each in studio.rebuild([picture(world, index) for index in some]))


def _captions(world: WorldRecipe, index: int, place: int) -> list[Sentence]:
    """The captions of a picture, the same as the data-set files hold, for its place in the store."""
    key = ("train", world.seed, index)
    return [Sentence(each.text, place) for each in captions_of(make_scene(*key, world.cut), *key)]


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
