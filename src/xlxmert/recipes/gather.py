"""LXMERT's pre-training sentences from the data sets' own files, for whoever cannot get LXMERT's.

    python -m xlxmert.recipes.gather --out mixture.json \\
        --captions captions_train2014.json captions_val2014.json \\
        --vqa v2_OpenEnded_mscoco_train2014_questions.json v2_mscoco_train2014_annotations.json \\
              v2_OpenEnded_mscoco_val2014_questions.json v2_mscoco_val2014_annotations.json \\
        --gqa train_balanced_questions.json val_balanced_questions.json \\
        --regions image_data.json region_descriptions.json --genome-questions image_data.json question_answers.json \\
        --minival mscoco_minival.json --vqa-tests v2_OpenEnded_mscoco_test2015_questions.json \\
        --gqa-tests testdev_balanced_questions.json

Every picture is told once, however many data sets speak of it: Visual Genome says which of its pictures are COCO's, and
GQA's pictures are Visual Genome's. The full run was never made, as the files cannot be had here; on the built-in world
it takes seconds. ``xlxmert.recipes.mixture`` makes a store of the result.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.data.coco import read_captions
from xlxmert.data.gqa import read_gqa
from xlxmert.data.kept_out import KeptOut
from xlxmert.data.pretraining import ToldPicture, write_pretraining
from xlxmert.data.records import Id, PictureRecord, QuestionRecord
from xlxmert.data.visual_genome import read_image_data, read_question_answers, read_regions
from xlxmert.data.vqa import read_vqa
from xlxmert.recipes.command import run_alone

PAPER = {"mscoco": 617_000, "vg": 5_390_000, "vqa": 658_000, "gqa": 1_070_000, "visual7w": 1_440_000}
"""Sentences by data set in the papers (X-LXMERT, table 5; LXMERT, table 1), 9.18 million of 180,000 pictures."""


@dataclass(frozen=True)
class Published:
    """The files of the five data sets, splits for training and validation."""

    captions: tuple[Path, ...] = ()
    """COCO's captions_*.json."""
    vqa: tuple[tuple[Path, Path], ...] = ()
    """VQA v2's questions and annotations, in pairs; their pictures are those of the captions."""
    gqa: tuple[Path, ...] = ()
    """GQA's *_questions.json, files or folders; only balanced questions are taken, as in the papers."""
    regions: tuple[tuple[Path, Path], ...] = ()
    """Visual Genome's image_data.json and region_descriptions.json, in pairs."""
    genome_questions: tuple[tuple[Path, Path], ...] = ()
    """Visual Genome's image_data.json and question_answers.json, in pairs."""

    def __post_init__(self) -> None:
        """Check that there is something to read."""
        if not (self.captions or self.gqa or self.regions or self.genome_questions):
            raise UsageError(
                "expected annotations, found none: pass --captions, --vqa, --gqa, --regions or --genome-questions"
            )
        if self.vqa and not self.captions:
            raise UsageError("expected --captions beside --vqa, found none: only they name the pictures' files")


@dataclass(frozen=True)
class HeldOut:
    """Files whose pictures must not be seen in training."""

    minival: tuple[Path, ...] = ()
    """LXMERT's mscoco_minival.json."""
    coco_tests: tuple[Path, ...] = ()
    """COCO's image_info_test2014.json and its like, or captions of pictures to keep out."""
    vqa_tests: tuple[Path, ...] = ()
    """VQA v2's questions of the test sets."""
    gqa_tests: tuple[Path, ...] = ()
    """GQA's questions of testdev and test, files or folders."""
    nlvr2_tests: tuple[Path, ...] = ()
    """NLVR2's dev.json, test1.json and their like."""

    def read(self) -> KeptOut:
        """All their pictures.

        Raises:
            XlxmertError: a file is missing, cut short or of another format, or names no picture.
        """
        return KeptOut.read(self.minival, self.coco_tests, self.vqa_tests, self.gqa_tests, self.nlvr2_tests)


NOTHING_HELD = HeldOut()
"""No picture is kept out."""


@dataclass
class Gathered:
    """Pictures with their sentences, and what was left out."""

    told: dict[str, dict[str, list[tuple[str, Mapping[str, float]]]]] = field(default_factory=dict)
    """By picture and data set."""
    kept_out: dict[str, set[Id]] = field(default_factory=dict)
    """By the file that says so."""

    def add(self, picture: str, source: str, text: str, answers: Mapping[str, float] | None = None) -> None:
        """One sentence of a picture."""
        self.told.setdefault(picture, {}).setdefault(source, []).append((text, answers or {}))

    def pictures(self) -> Iterator[ToldPicture]:
        """The pictures in the order in which they were first spoken of."""
        for picture, sources in self.told.items():
            yield ToldPicture(
                picture,
                {source: tuple(text for text, _ in said) for source, said in sources.items()},
                {
                    source: tuple(answers for _, answers in said)
                    for source, said in sources.items()
                    if any(answers for _, answers in said)
                },
            )

    def summary(self) -> dict[str, Any]:
        """Counts, for a person or as JSON."""
        counts = Counter({source: 0 for source in PAPER})
        for sources in self.told.values():
            counts.update({source: len(said) for source, said in sources.items()})
        return {
            "pictures": len(self.told),
            "sentences": counts.total(),
            **counts,
            "kept_out": {file: len(ids) for file, ids in self.kept_out.items()},
        }


def gather(published: Published, held_out: HeldOut = NOTHING_HELD) -> Gathered:
    """Everything that the files say of the pictures that may be seen.

    Raises:
        XlxmertError: a file is missing, cut short or of another format, files do not belong together, or no picture is
            left.
    """
    names, result = _Names(held_out.read()), Gathered()
    result.kept_out = names.kept_out
    for path in published.captions:
        pictures, captions = read_captions(path)
        names.coco(pictures)
        for caption in captions:
            if stem := names.of_coco(caption.picture_id):
                result.add(stem, "mscoco", caption.text)
    for questions, annotations in published.vqa:
        _ask(
            result, "vqa", ((names.of_coco(each.picture_id), each) for each in read_vqa(questions, annotations, names))
        )
    for image_data, path in published.regions:
        genome = names.genome(read_image_data(image_data))
        for region in read_regions(path, genome):
            if stem := names.of_genome(region.picture_id):
                result.add(stem, "vg", region.phrase)
    for image_data, path in published.genome_questions:
        genome = names.genome(read_image_data(image_data))
        asked = read_question_answers(path, {picture.id for picture in genome})
        _ask(result, "visual7w", ((names.of_genome(each.picture_id), each) for each in asked))
    for path in published.gqa:
        balanced = (each for each in read_gqa(path) if each.is_balanced)
        _ask(result, "gqa", ((names.of_genome(each.picture_id), each) for each in balanced))
    if not result.told:
        raise XlxmertError(
            f"expected pictures that may be seen, found none: {sum(map(len, names.kept_out.values()))} are kept out by "
            f"{', '.join(names.kept_out) or 'nothing'}; check which files are for training"
        )
    return result


def _ask(result: Gathered, source: str, questions: Iterable[tuple[str | None, QuestionRecord]]) -> None:
    for stem, question in questions:
        if stem:
            result.add(stem, source, question.text, question.answers)


class _Names:
    """One name for each picture, whoever speaks of it; None for those that are kept out."""

    def __init__(self, held: KeptOut) -> None:
        self.held = held
        self.kept_out: dict[str, set[Id]] = {}
        self._coco: dict[Id, str | None] = {}
        self._genome: dict[str, str | None] = {}

    def __contains__(self, picture_id: object) -> bool:
        """Whether COCO has told of the picture."""
        return picture_id in self._coco

    def coco(self, pictures: Iterable[PictureRecord]) -> None:
        """Learn the names of COCO's pictures."""
        for picture in pictures:
            stem = PurePosixPath(picture.file_name).stem
            self._coco[picture.id] = self._unless_held(stem, picture.id)

    def genome(self, pictures: list[PictureRecord]) -> list[PictureRecord]:
        """Learn the names of Visual Genome's pictures, of which some are COCO's; gives them back."""
        by_stem = {stem: stem for stem in self._coco.values() if stem}
        for picture in pictures:
            stem = PurePosixPath(picture.file_name).stem
            name = self._unless_held(stem, str(picture.id), picture.coco_id)
            if name and picture.coco_id is not None and picture.coco_id in self._coco:
                name = self._coco[picture.coco_id]
            self._genome[str(picture.id)] = name and by_stem.get(name, name)
        return pictures

    def of_coco(self, picture_id: Id) -> str | None:
        """The name of a picture of COCO or VQA."""
        return self._coco[picture_id]

    def of_genome(self, picture_id: Id) -> str | None:
        """The name of a picture of Visual Genome or GQA; one that ``image_data.json`` does not tell keeps its own."""
        name = str(picture_id)
        if name not in self._genome:
            self._genome[name] = self._unless_held(name)
        return self._genome[name]

    def _unless_held(self, stem: str, *others: Id | None) -> str | None:
        why = self.held.why(stem, *others)
        if why is None:
            return stem
        self.kept_out.setdefault(why, set()).add(stem)
        return None


def main() -> None:
    """Run the recipe from the command line."""
    import tyro

    def run(
        out: Path,
        published: tyro.conf.OmitArgPrefixes[Published],
        held_out: tyro.conf.OmitArgPrefixes[HeldOut] = NOTHING_HELD,
    ) -> None:
        """Gather the data sets' sentences into a file of LXMERT's pre-training format."""
        gathered = gather(published, held_out)
        write_pretraining(out, gathered.pictures())
        print(json.dumps(gathered.summary(), indent=2))

    run_alone(run)


if __name__ == "__main__":
    main()
