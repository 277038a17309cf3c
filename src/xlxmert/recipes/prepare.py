"""Pictures and annotations to a store of visual tokens and sentences: what ``xlxmert prepare`` does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.files import read_json
from xlxmert.core.processes import is_main, meet
from xlxmert.data.cells import label_cells
from xlxmert.data.records import InstanceRecord
from xlxmert.data.store import KINDS, Store, write_store
from xlxmert.data.tokenizer import Tokenizer
from xlxmert.recipes.given import MOST_NUMBERS, check_sizes, frequent, given_answers, given_tokenizer
from xlxmert.recipes.parts import sweep
from xlxmert.recipes.picture_sources import PictureFiles, PictureSources, Seen, check_missing, open_look, store_facts
from xlxmert.recipes.reading import PictureReader, Progress, no_progress
from xlxmert.recipes.sources import Sources, read_lines, things_of
from xlxmert.recipes.telling import Picture, Survey, sentences, survey


@dataclass(frozen=True)
class PrepareRecipe:
    """How sentences and pictures are turned into numbers."""

    tokenizer: str = "train"
    """Learn the words from these sentences (train), or a tokenizer.json, a store's folder or BERT's vocab.txt."""
    words: int = 30_000
    """Most pieces of a tokenizer that is trained."""
    answers: str = "all"
    """Keep all answers that are given here (all), or an answers.json or LXMERT's published table."""
    least: int = 1
    """With --answers all: leave out answers that fewer questions than this have."""
    size: int = 256
    """Side in pixels to which pictures are brought."""
    crop: bool = False
    """Keep the centre square of a picture instead of squashing it."""
    workers: int = 2
    """Threads that decode pictures."""
    features: bool = False
    """Keep the cells' features too, in half precision: LXMERT reads and predicts them."""
    instances: Path | None = None
    """COCO's ``instances_*.json`` of the pictures: keep what stands in each cell as its label and attribute."""
    longest: int | None = None
    """Leave out sentences of more tokens than this and count them, by default none; XGPT's limit is 60. A model must
    read two more, which frame the sentence."""
    missing: bool = False
    """With --tsv, --h5 or --clusters: leave out pictures that the files lack and count them; otherwise they are an
    error."""
    flat: bool = False
    """With --tsv or --h5: accept boxes of no area."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 5 < self.words <= MOST_NUMBERS or min(self.least, self.size, self.workers) < 1:
            raise UsageError(
                f"expected words between 6 and {MOST_NUMBERS} and least, size and workers of at least 1, found {self}"
            )
        if self.longest is not None and self.longest < 1:
            raise UsageError(f"expected --longest of at least 1 token, found {self.longest}: pass 60, for example")
        if self.instances is not None and self.crop:
            raise UsageError("boxes are of whole pictures (found crop with instances): leave one of the two out")


@dataclass(frozen=True)
class Prepared:
    """What came of it."""

    store: Store
    unreadable: Mapping[Path, str]
    """Pictures that could not be read, and why; their sentences were left out."""
    empty: int
    """Sentences that were left out because they hold no word."""
    too_long: int = 0
    """Sentences that were left out because of `PrepareRecipe.longest`."""
    same: Sequence[Sequence[Path]] = ()
    """Files that show the very same pixels; all of them are kept."""
    missing: int = 0
    """Pictures of which nothing was published; their sentences were left out."""

    def summary(self) -> dict[str, Any]:
        """Counts, for a person or as JSON."""
        kinds = np.bincount(self.store.arrays["kind"], minlength=len(KINDS)).tolist()
        return {
            "store": str(self.store.folder),
            "pictures": self.store.size,
            "unreadable": len(self.unreadable),
            "missing": self.missing,
            "duplicates": sum(len(files) - 1 for files in self.same),
            **{f"{kind}s": kinds[number] for number, kind in enumerate(KINDS)},
            "empty": self.empty,
            "too_long": self.too_long,
            "words": self.store.tokenizer.size,
            "longest": self.store.longest,
            "answers": len(self.store.answers),
            "features": self.store.feature_width,
            "labels": self.store.count("labels"),
            "attributes": self.store.count("attributes"),
            "codes": self.store.count("codes"),
            "codebook": self.store.fingerprint,
        }


def prepare(
    out: Path,
    sources: Sources,
    codebook: Path | None = None,
    recipe: PrepareRecipe = PrepareRecipe(),
    device: torch.device | str = "cpu",
    overwrite: bool = False,
    progress: Progress = no_progress,
    published: PictureSources | None = None,
) -> Prepared:
    """Write a store; whatever can be checked is checked before the first picture is read.

    The files are read twice, or three times where words are learned, and one of them at a time is in memory. A run that
    is interrupted leaves the pictures that it has encoded beside ``out``, and the same call goes on from there.

    Processes that torchrun started together share the encoding, and one writes the store.

    Args:
        out: the store's folder, new or empty; with ``overwrite`` an earlier store is replaced.
        sources: pictures and annotations.
        codebook: a visual vocabulary, as ``xlxmert codebook`` writes it.
        recipe: see `PrepareRecipe`.
        device: where the backbone runs.
        overwrite: replace an earlier store, and nothing else.
        progress: is told how many pictures were encoded.
        published: what others saw in the pictures, in the place of their files and the codebook.

    Raises:
        XlxmertError: a file is missing or damaged, files do not belong together, or the folder holds something else.
    """
    out = Path(out)
    check_store(out, overwrite)
    meet("the store may be written")
    whence = published or PictureSources(images=sources.images, codebook=codebook)
    reader = PictureReader(recipe.size, recipe.crop, recipe.workers)
    look = open_look(whence, reader, recipe.features, recipe.flat, device)
    tokenizer, answers = given_tokenizer(recipe.tokenizer), given_answers(recipe.answers)
    things = _things(sources, recipe)
    if tokenizer is None:
        tokenizer = Tokenizer.train((line.text for line in read_lines(sources)), recipe.words)
    found = survey(read_lines(sources), tokenizer, recipe.longest)
    _check_told(found, recipe.longest, sources)
    answers = answers or frequent(found.answers, recipe.least)
    check_sizes(tokenizer, answers)
    with look.seen(out, list(found.pictures), progress) as seen:
        missing = check_missing(list(found.pictures), seen, whence, recipe.missing)
        visual, sizes = dict(seen.arrays), dict[str, int]()
        if things is not None and isinstance(look, PictureFiles):
            rows = [things.get(picture, ()) for picture in seen.pictures]
            cells, sizes = labelled(rows, look.encoder.vocabulary.spec.grid)
            visual |= cells
        told = store_facts(look, whence, seen)
        told["facts"] |= _facts(sources, recipe, seen) | sizes
        lines = sentences(read_lines(sources), tokenizer, recipe.longest, seen.places)
        if is_main():
            write_store(out, visual, seen.names, lines, tokenizer, answers, **told)
    meet("the store is written")
    store = Store.open(out, told["codebook"])
    return Prepared(store, seen.unreadable, found.empty, found.too_long, seen.same, missing)


def _things(sources: Sources, recipe: PrepareRecipe) -> Mapping[Picture, Sequence[InstanceRecord]] | None:
    """What stands in each picture, where that is wanted."""
    if recipe.instances is None:
        return None
    if sources.images is None:
        raise UsageError("expected --images beside --instances, found none: published features bring their own labels")
    return dict(things_of(sources.images, recipe.instances).items())


def _facts(sources: Sources, recipe: PrepareRecipe, seen: Seen) -> dict[str, Any]:
    """What else the store tells of its pictures."""
    folder = sources.images or Path()

    def name(path: Path) -> str:
        return path.relative_to(folder).as_posix()

    return {
        "sources": sources.names,
        "size": recipe.size,
        "crop": recipe.crop,
        "unreadable": len(seen.unreadable),
        "left_out": {name(path): reason for path, reason in seen.unreadable.items()},
        "duplicates": [[name(path) for path in files] for files in seen.same],
    }


def check_store(out: Path, overwrite: bool = False) -> None:
    """Make sure that a store may be written to a folder; what a finished run left beside one is deleted.

    Raises:
        XlxmertError: it is a file, holds something else, or holds a store that is not to be replaced.
    """
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise XlxmertError(f"expected a folder at {out}, found a file: choose another folder")
    found = sorted(entry.name for entry in out.iterdir()) if out.exists() else []
    if found and "store.json" not in found:
        raise XlxmertError(f"expected a new or an empty folder at {out}, found {found[0]}: choose another folder")
    if found and not overwrite:
        facts = read_json(out / "store.json")
        made = facts.get("codebook", "unknown") if isinstance(facts, dict) else "unknown"
        if is_main():
            sweep(out)
        raise XlxmertError(
            f"expected a new folder at {out}, found a store (codebook {made}): pass --overwrite to replace it"
        )


def labelled(things: Sequence[Sequence[InstanceRecord]], grid: int) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """What stands in each cell as the store's arrays ``labels`` and ``attributes`` (P, N), and how many there are.

    Number 0 is no thing, and no attribute. Of several attributes, the most frequent one counts (LXMERT's detector
    gives one, too).
    """
    cells = label_cells(things, grid)
    attributes = np.where(cells.attributes.any(-1), cells.attributes.argmax(-1) + 1, 0) if cells.attributes.size else 0
    arrays = {"labels": cells.things, "attributes": np.broadcast_to(attributes, cells.things.shape)}
    return arrays, {"labels": int(cells.things.max()) + 1, "attributes": cells.attributes.shape[-1] + 1}


def _check_told(found: Survey, longest: int | None, sources: Sources) -> None:
    """Complain where no sentence is left."""
    names, told = ", ".join(sources.names), found.kept + found.too_long
    if not told:
        raise XlxmertError(f"expected sentences in {names}, found none: check the files")
    if not found.kept:
        raise XlxmertError(
            f"expected sentences of at most {longest} tokens in {names}, found none among {told}: raise --longest"
        )
