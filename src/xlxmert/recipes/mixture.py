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
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.data.answers import AnswerTable
from xlxmert.data.kept_out import KeptOut
from xlxmert.data.pictures import PictureFolder
from xlxmert.data.pretraining import KINDS, ToldPicture, plain_answers, read_pretraining
from xlxmert.data.store import Sentence, Store, write_store
from xlxmert.data.tokenizer import Tokenizer
from xlxmert.recipes.command import run_alone
from xlxmert.recipes.gather import NOTHING_HELD, HeldOut
from xlxmert.recipes.given import MOST_NUMBERS, check_sizes, frequent, given_answers, given_tokenizer
from xlxmert.recipes.picture_sources import PictureSources, check_missing, open_look, store_facts
from xlxmert.recipes.prepare import check_store
from xlxmert.recipes.reading import PictureReader, Progress, no_progress
from xlxmert.recipes.telling import Line, sentences, survey


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
    unreadable: Mapping[Path, str]
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
    """Write the mixture's store; sentences are read several times and never all in memory.

    Where words are learned from them, their texts are held while that lasts. A run on pictures that is interrupted goes
    on when it is called again.

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
    out = Path(out)
    check_store(out, overwrite)
    given, table = given_tokenizer(recipe.tokenizer), given_answers(recipe.answers)
    look = open_look(
        sources, PictureReader(recipe.size, recipe.crop, recipe.workers), recipe.features, recipe.flat, device
    )
    lines = _Lines(told, held_out.read(), None if sources.images is None else PictureFolder(sources.images))
    tokenizer = given or Tokenizer.train((line.text for line in lines), recipe.words)
    found = survey(lines, tokenizer, recipe.longest)
    wanted = list(found.pictures)
    table = frequent(found.answers, recipe.least) if table is None else AnswerTable(table)
    check_sizes(tokenizer, table)
    tally = Tally(lines.kept_out, Counter(), found.empty, found.too_long)
    with look.seen(out, wanted, progress) as seen:
        tally.missing = check_missing(wanted, seen, sources, recipe.missing)
        counts: dict[str, Any] = {}  # filled when the sentences are written, before it is
        told_of = store_facts(look, sources, seen)
        told_of["facts"] |= {"sources": [path.name for path in told] + sources.names, "mixture": counts}
        kept = sentences(lines, tokenizer, recipe.longest, seen.places, tally.sentences)
        stream = _then(kept, lambda: counts.update(tally.facts()))
        store = write_store(out, seen.arrays, seen.names, stream, tokenizer, table, **told_of)
    return Mixed(store, tally, seen.unreadable)


class _Lines:
    """What LXMERT's files say of the pictures that may be seen, read anew whenever it is walked through."""

    def __init__(self, told: tuple[Path, ...], held: KeptOut, folder: PictureFolder | None) -> None:
        if not told:
            raise UsageError(
                "expected LXMERT's pre-training files, found none: pass --told mscoco_train.json and so on"
            )
        self.told, self.held, self.folder = told, held, folder
        self.kept_out: Counter[str] = Counter()
        """Pictures by the file that keeps them out."""

    def __iter__(self) -> Iterator[Line]:
        """All lines.

        Raises:
            XlxmertError: a file is damaged, a picture is told twice, or none is left.
        """
        self.kept_out.clear()
        seen: dict[str, Path] = {}
        for path in self.told:
            for picture in read_pretraining(path):
                if (first := seen.get(picture.picture_id)) is not None:
                    raise XlxmertError(
                        f"expected every picture in one file, found {picture.picture_id!r} in {first} and in {path}: "
                        "leave one of the two files out"
                    )
                seen[picture.picture_id] = path
                if (why := self.held.why(picture.picture_id)) is None:
                    yield from self._of(picture)
                else:
                    self.kept_out[why] += 1
        if len(seen) == self.kept_out.total():
            raise XlxmertError(
                f"expected pictures for training in {', '.join(path.name for path in self.told)}, found none and "
                f"{self.kept_out.total()} that are kept out: check which files are for training"
            )

    def _of(self, picture: ToldPicture) -> Iterator[Line]:
        there = self.folder is not None and picture.picture_id in self.folder
        key = self.folder.path(picture.picture_id) if self.folder is not None and there else picture.picture_id
        for source, text, soft in picture.lines():
            yield Line(text, key, KINDS[source], plain_answers(soft), source=source)


def _then(stream: Iterator[Sentence], finish: Callable[[], None]) -> Iterator[Sentence]:
    """The stream, and a call at its end."""
    yield from stream
    finish()


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

    run_alone(run)


if __name__ == "__main__":
    main()
