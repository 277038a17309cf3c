"""Pictures and annotations to a store of visual tokens and sentences: what ``xlxmert prepare`` does."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.files import read_json
from xlxmert.data.answers import AnswerTable
from xlxmert.data.cells import label_cells
from xlxmert.data.records import InstanceRecord
from xlxmert.data.store import KINDS, Sentence, Store, write_store
from xlxmert.data.tokenizer import Tokenizer
from xlxmert.recipes.encoding import Encoder
from xlxmert.recipes.given import MOST_NUMBERS, check_sizes, frequent, given_answers, given_tokenizer
from xlxmert.recipes.parts import key_of, parts_folder
from xlxmert.recipes.reading import PictureReader, Progress, no_progress
from xlxmert.recipes.sources import Line, Sources, read_lines, things_of
from xlxmert.vision.vocabulary import VisualVocabulary


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
    unreadable: dict[Path, str]
    """Pictures that could not be read, and why; their sentences were left out."""
    empty: int
    """Sentences that were left out because they hold no word."""
    too_long: int = 0
    """Sentences that were left out because of `PrepareRecipe.longest`."""
    same: Sequence[Sequence[Path]] = ()
    """Files that show the very same pixels; all of them are kept."""

    def summary(self) -> dict[str, Any]:
        """Counts, for a person or as JSON."""
        kinds = np.bincount(self.store.arrays["kind"], minlength=len(KINDS)).tolist()
        return {
            "store": str(self.store.folder),
            "pictures": self.store.size,
            "unreadable": len(self.unreadable),
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
    codebook: Path,
    recipe: PrepareRecipe = PrepareRecipe(),
    device: torch.device | str = "cpu",
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> Prepared:
    """Write a store; whatever can be checked is checked before the first picture is read.

    A run that is interrupted leaves the pictures that it has encoded beside ``out``, and the same call goes on from
    there (`Encoder.encoded`).

    Args:
        out: the store's folder, new or empty; with ``overwrite`` an earlier store is replaced.
        sources: pictures and annotations.
        codebook: a visual vocabulary, as ``xlxmert codebook`` writes it.
        recipe: see `PrepareRecipe`.
        device: where the backbone runs.
        overwrite: replace an earlier store, and nothing else.
        progress: is told how many pictures were encoded.

    Raises:
        XlxmertError: a file is missing or damaged, files do not belong together, or the folder holds something else.
    """
    out = Path(out)
    check_store(out, overwrite)
    vocabulary = VisualVocabulary.load(codebook).to(device)
    given = given_tokenizer(recipe.tokenizer), given_answers(recipe.answers)
    things = None if recipe.instances is None else things_of(sources.images, recipe.instances)
    read = read_lines(sources)
    tokenizer = given[0] or Tokenizer.train([line.text for line in read], recipe.words)
    told, lines = _told(read, tokenizer, recipe.longest, sources)
    reader = PictureReader(recipe.size, recipe.crop, recipe.workers)
    wanted = list(dict.fromkeys(picture for line in lines for picture in line.pictures))
    encoder = Encoder(reader, vocabulary, recipe.features, key_of(codebook, torch.device(device).type))
    with encoder.encoded(parts_folder(out), wanted, progress) as seen:
        vocabulary.codebook.check(seen.codes, str(sources.images))
        visual, sizes = seen.arrays, dict[str, int]()
        if things is not None:
            found, sizes = labelled([things.get(path, ()) for path in seen.paths], vocabulary.spec.grid)
            visual |= found
        places = {path: place for place, path in enumerate(seen.paths)}
        kept = [line for line in lines if all(picture in places for picture in line.pictures)]
        answers = given[1] or frequent_answers(kept, recipe.least)
        check_sizes(tokenizer, answers)
        name = {path: path.relative_to(sources.images).as_posix() for path in wanted}
        store = write_store(
            out,
            visual,
            [name[path] for path in seen.paths],
            (_sentence(line, places) for line in kept),
            tokenizer,
            answers,
            vocabulary.codebook.fingerprint,
            len(vocabulary.codebook),
            {
                "sources": sources.names,
                "size": recipe.size,
                "crop": recipe.crop,
                "unreadable": len(seen.unreadable),
                "left_out": {name[path]: reason for path, reason in seen.unreadable.items()},
                "duplicates": [[name[path] for path in files] for files in seen.same],
                **sizes,
            },
        )
    return Prepared(store, seen.unreadable, len(read) - told, told - len(lines), seen.same)


def check_store(out: Path, overwrite: bool = False) -> None:
    """Make sure that a store may be written to a folder.

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
        raise XlxmertError(
            f"expected a new folder at {out}, found a store (codebook {made}): pass --overwrite to replace it"
        )


def frequent_answers(lines: Sequence[Line], least: int = 1) -> AnswerTable:
    """The answers that at least ``least`` questions have, the most frequent first."""
    counts = Counter(answer for line in lines for answer in line.answers)
    return frequent(counts, least)


def labelled(things: Sequence[Sequence[InstanceRecord]], grid: int) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """What stands in each cell as the store's arrays ``labels`` and ``attributes`` (P, N), and how many there are.

    Number 0 is no thing, and no attribute. Of several attributes, the most frequent one counts (LXMERT's detector
    gives one, too).
    """
    cells = label_cells(things, grid)
    attributes = np.where(cells.attributes.any(-1), cells.attributes.argmax(-1) + 1, 0) if cells.attributes.size else 0
    arrays = {"labels": cells.things, "attributes": np.broadcast_to(attributes, cells.things.shape)}
    return arrays, {"labels": int(cells.things.max()) + 1, "attributes": cells.attributes.shape[-1] + 1}


def _told(read: Sequence[Line], tokenizer: Tokenizer, longest: int | None, sources: Sources) -> tuple[int, list[Line]]:
    """How many lines hold a word, and those of them that are not too long.

    Raises:
        XlxmertError: none is left.
    """
    lengths = tokenizer.lengths([line.text for line in read])
    told = sum(length > 0 for length in lengths)
    lines = [line for line, length in zip(read, lengths, strict=True) if 0 < length <= (longest or length)]
    if not lines:
        names = ", ".join(sources.names)
        if not told:
            raise XlxmertError(f"expected sentences in {names}, found none: check the files")
        raise XlxmertError(
            f"expected sentences of at most {longest} tokens in {names}, found none among {told}: raise --longest"
        )
    return told, lines


def _sentence(line: Line, places: Mapping[Path, int]) -> Sentence:
    """A line as the store takes it."""
    second = None if line.second is None else places[line.second]
    return Sentence(line.text, places[line.picture], line.kind, line.answers, second, line.truth)
