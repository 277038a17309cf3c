"""The papers' pre-training mixture as one store: five data sets' sentences on COCO's and Visual Genome's pictures.

    python -m xlxmert.recipes.mixture --out store --told mscoco_train.json mscoco_nominival.json vgnococo.json \\
        --minival mscoco_minival.json --vqa-tests v2_OpenEnded_mscoco_test2015_questions.json \\
        --gqa-tests testdev_balanced_questions.json --nlvr2-tests dev.json test1.json \\
        --tokenizer vocab.txt --answers all_ans.json \\
        --tsv train2014_obj36.tsv val2014_obj36.tsv vg_gqa_obj36.tsv

Instead of LXMERT's features (``--tsv``): pictures (``--images --codebook``), X-LXMERT's features (``--h5``), its codes
(``--clusters --centroids``). Instead of LXMERT's files, those that ``xlxmert.recipes.gather`` makes. Whatever is not
for training stays out, under any of its names, and is counted. The papers' mixture has 9.18 million sentences of
180,000 pictures (X-LXMERT, table 5); the full run was never made, as its files cannot be had here.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from xlxmert.core.arrays import Rows
from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.data.answers import AnswerTable
from xlxmert.data.kept_out import KeptOut
from xlxmert.data.pretraining import KINDS, ToldPicture, plain_answers, read_pretraining
from xlxmert.data.store import UNCODED, Sentence, Store, write_store
from xlxmert.data.tokenizer import Tokenizer
from xlxmert.recipes.gather import NOTHING_HELD, HeldOut
from xlxmert.recipes.given import MOST_NUMBERS, check_sizes, frequent, given_answers, given_tokenizer
from xlxmert.recipes.mixture_pictures import ATTRIBUTES, LABELS, Look, PictureSources, open_look
from xlxmert.recipes.prepare import check_store
from xlxmert.recipes.reading import PictureReader, Progress, no_progress

TOGETHER = 10_000
"""Sentences whose lengths are found together."""


@dataclass(frozen=True)
class MixtureRecipe:
    """How sentences and pictures are turned into numbers."""

    tokenizer: str = "train"
    """Learn the words from these sentences (train), or a tokenizer.json, a store's folder or BERT's vocab.txt, which
    the papers use."""
    words: int = 30_000
    """Most pieces of a tokenizer that is trained."""
    answers: str = "all"
    """Keep all answers that are given here (all), or an answers.json or LXMERT's all_ans.json, which the papers use."""
    least: int = 1
    """With --answers all: leave out answers that fewer questions than this have."""
    longest: int | None = 18
    """Leave out sentences of more tokens than this and count them. LXMERT reads at most 18 and the two that frame
    them; its code cuts longer ones."""
    features: bool = False
    """With codes: keep the features too, in half precision."""
    missing: bool = False
    """Leave out pictures without features, codes or files, and count them; otherwise they are an error."""
    flat: bool = False
    """Accept boxes of no area."""
    size: int = 256
    """With --images: side in pixels to which pictures are brought."""
    crop: bool = False
    """With --images: keep the centre square of a picture instead of squashing it."""
    workers: int = 2
    """With --images: threads that decode pictures."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 5 < self.words <= MOST_NUMBERS or min(self.least, self.size, self.workers, self.longest or 1) < 1:
            raise UsageError(
                f"expected words between 6 and {MOST_NUMBERS} and least, longest, size and workers of at least 1, "
                f"found {self}"
            )


@dataclass
class Tally:
    """What was read, kept and left out."""

    kept_out: Counter[str] = field(default_factory=Counter)
    """Pictures by the file that keeps them out."""
    sentences: Counter[str] = field(default_factory=Counter)
    """Those in the store, by data set."""
    empty: int = 0
    """Sentences that hold no word."""
    too_long: int = 0
    """Sentences that are longer than the recipe allows."""
    missing: int = 0
    """Pictures without features, codes or files."""

    def facts(self) -> dict[str, Any]:
        """Counts as JSON."""
        return {
            "sentences": self.sentences.total(),
            **{source: self.sentences[source] for source in KINDS},
            "empty": self.empty,
            "too_long": self.too_long,
            "missing": self.missing,
            "kept_out": dict(self.kept_out),
        }


@dataclass(frozen=True)
class Mixed:
    """What came of it."""

    store: Store
    tally: Tally
    unreadable: dict[Path, str]
    """Pictures that could not be read, and why."""

    def summary(self) -> dict[str, Any]:
        """Counts, for a person or as JSON."""
        return {
            "store": str(self.store.folder),
            "pictures": self.store.size,
            "unreadable": len(self.unreadable),
            **self.tally.facts(),
            "words": self.store.tokenizer.size,
            "answers": len(self.store.answers),
            "tokens": self.store.tokens,
            "arrays": sorted(self.store.pictures),
            "codes": self.store.count("codes"),
            "codebook": self.store.fingerprint,
        }


@dataclass
class _Read:
    """What the first reading finds."""

    pictures: list[str] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    texts: list[str] = field(default_factory=list)
    """Only where words are to be learned."""


def mix(
    out: Path,
    told: tuple[Path, ...],
    sources: PictureSources,
    held_out: HeldOut = NOTHING_HELD,
    recipe: MixtureRecipe = MixtureRecipe(),
    device: torch.device | str = "cpu",
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> Mixed:
    """Write the mixture's store; sentences are read twice and never all in memory, unless words are learned from them.

    Args:
        out: the store's folder, new or empty; with ``overwrite`` an earlier store is replaced.
        told: LXMERT's pre-training files for training.
        sources: pictures, features or codes.
        held_out: files whose pictures stay out.
        recipe: see `MixtureRecipe`.
        device: where the backbone runs.
        overwrite: replace an earlier store, and nothing else.
        progress: is told how many pictures were looked at.

    Raises:
        XlxmertError: a file is missing or damaged, a picture is told by two files or is not to be found, no picture is
            left, or the folder holds something else.
    """
    check_store(out, overwrite)
    tokenizer, table = given_tokenizer(recipe.tokenizer), given_answers(recipe.answers)
    reader = PictureReader(recipe.size, recipe.crop, recipe.workers)
    look = open_look(sources, reader, recipe.features, recipe.flat, device)
    tally, held = Tally(), held_out.read()
    read = _read(told, held, tally, learns=tokenizer is None)
    tokenizer = tokenizer or Tokenizer.train(read.texts, recipe.words)
    read.texts.clear()
    table = frequent(read.answers, recipe.least) if table is None else AnswerTable(table)
    check_sizes(tokenizer, table)
    with Rows(Path(out).with_name(f".{Path(out).name}.rows")) as rows:
        places, names = _look(look, read.pictures, rows, progress)
        tally.missing = len(read.pictures) - len(places) - len(look.unreadable)
        _check_missing(read.pictures, places, tally, sources, recipe)
        arrays = rows.arrays()
        counts: dict[str, Any] = {}  # filled while the sentences are written, before it is
        facts: dict[str, Any] = {"sources": [path.name for path in told] + sources.names, "mixture": counts}
        facts |= {"looked": sources.names} if sources.images is None else {}
        facts |= {name: most for name, most in (("labels", LABELS), ("attributes", ATTRIBUTES)) if name in arrays}
        codebook = look.codebook
        store = write_store(
            Path(out),
            arrays,
            names,
            _sentences(told, places, tokenizer, recipe, tally, counts),
            tokenizer,
            table,
            codebook.fingerprint if codebook is not None else UNCODED,
            len(codebook) if codebook is not None else 0,
            facts,
            codebook.centroids.numpy() if codebook is not None and sources.images is None else None,
        )
    return Mixed(store, tally, look.unreadable)


def _read(told: tuple[Path, ...], held: KeptOut, tally: Tally, learns: bool) -> _Read:
    """The first reading: which pictures there are, and which words and answers.

    Raises:
        XlxmertError: a file is damaged, a picture is told twice, or none is left.
    """
    if not told:
        raise UsageError("expected LXMERT's pre-training files, found none: pass --told mscoco_train.json and so on")
    read, seen = _Read(), dict[str, Path]()
    for path in told:
        for picture in read_pretraining(path):
            if (first := seen.get(picture.picture_id)) is not None:
                raise XlxmertError(
                    f"expected every picture in one file, found {picture.picture_id!r} in {first} and in {path}: "
                    "leave one of the two files out"
                )
            seen[picture.picture_id] = path
            if (why := held.why(picture.picture_id)) is not None:
                tally.kept_out[why] += 1
                continue
            read.pictures.append(picture.picture_id)
            for _, text, soft in picture.lines():
                read.answers.update(plain_answers(soft).keys())
                if learns:
                    read.texts.append(text)
    if not read.pictures:
        raise XlxmertError(
            f"expected pictures for training in {', '.join(path.name for path in told)}, found none and "
            f"{tally.kept_out.total()} that are kept out: check which files are for training"
        )
    return read


def _look(look: Look, wanted: list[str], rows: Rows, progress: Progress) -> tuple[dict[str, int], list[str]]:
    """Put what is seen in the pictures into rows; their places and their names."""
    places: dict[str, int] = {}
    names: list[str] = []
    for picture_id, name, row in look.rows(wanted, progress):
        places[picture_id] = len(names)
        names.append(name)
        rows.add(**row)
    return places, names


def _check_missing(
    wanted: list[str], places: Mapping[str, int], tally: Tally, sources: PictureSources, recipe: MixtureRecipe
) -> None:
    """Complain about pictures that are not to be found, unless the recipe allows some."""
    if not places or (tally.missing and not recipe.missing):
        first = next(each for each in wanted if each not in places)
        raise XlxmertError(
            f"expected picture {first!r} in {', '.join(sources.names)}, found it and {tally.missing - 1} more of "
            f"{len(wanted)} missing: add the files that hold them, or pass --missing to leave such pictures out"
        )


def _sentences(
    told: tuple[Path, ...],
    places: Mapping[str, int],
    tokenizer: Tokenizer,
    recipe: MixtureRecipe,
    tally: Tally,
    counts: dict[str, Any],
) -> Iterator[Sentence]:
    """The second reading: the sentences of the pictures that are there, those left out that are empty or too long."""
    waiting: list[tuple[str, Sentence]] = []
    for path in told:
        for picture in read_pretraining(path):
            if picture.picture_id in places:
                waiting += _of(picture, places[picture.picture_id])
            if len(waiting) >= TOGETHER:
                yield from _fitting(waiting, tokenizer, recipe, tally)
                waiting.clear()
    yield from _fitting(waiting, tokenizer, recipe, tally)
    counts |= tally.facts()


def _of(picture: ToldPicture, place: int) -> Iterator[tuple[str, Sentence]]:
    for source, text, soft in picture.lines():
        yield source, Sentence(text, place, KINDS[source], plain_answers(soft))


def _fitting(
    waiting: list[tuple[str, Sentence]], tokenizer: Tokenizer, recipe: MixtureRecipe, tally: Tally
) -> Iterator[Sentence]:
    lengths = tokenizer.lengths([sentence.text for _, sentence in waiting])
    for (source, sentence), length in zip(waiting, lengths, strict=True):
        if not length:
            tally.empty += 1
        elif length > (recipe.longest or length):
            tally.too_long += 1
        else:
            tally.sentences[source] += 1
            yield sentence


def main() -> None:
    """Run the recipe from the command line."""
    import tyro

    def run(
        out: Path,
        told: tuple[Path, ...],
        sources: tyro.conf.OmitArgPrefixes[PictureSources],
        held_out: tyro.conf.OmitArgPrefixes[HeldOut] = NOTHING_HELD,
        recipe: tyro.conf.OmitArgPrefixes[MixtureRecipe] = MixtureRecipe(),
        device: str = "cpu",
        overwrite: bool = False,
    ) -> None:
        """Write the papers' pre-training mixture as a store."""
        print(json.dumps(mix(out, told, sources, held_out, recipe, device, overwrite).summary(), indent=2))

    try:
        tyro.cli(run)
    except XlxmertError as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    main()
