"""easy-VQA, a published benchmark, from its own files to the accuracy on its test split.

    pip install easy-vqa
    python -m xlxmert.recipes.easy_vqa --out runs/easy-vqa

1. ``vocabulary.safetensors``  what a cell of a picture of 64 x 64 pixels is made of, from the training pictures
2. ``store/``                  the training questions, and the exact features of their pictures' cells
3. ``finetune/``               a small LXMERT that learns the answers from random weights; goes on where it was stopped
4. ``checkpoint/``             what ``xlxmert answer --checkpoint`` and ``xlxmert evaluate vqa --easy-vqa`` take
5. ``answers.json``, ``scores.json``, ``sheet.png``  its answers to the test questions, and what they are worth

200 s of one processor, from the raw files to 99.94 % of the test split's questions (2026-11-28).

With ``--held 400`` the last 400 training pictures are kept out and scored in place of the test split: that is how the
settings below were chosen. The same steps as verbs, wrong answers, and what else was tried: docs/easy-vqa.md.
"""

import dataclasses
import importlib.util
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xlxmert.convert.folder import Bundle
from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.files import write_json
from xlxmert.core.images import contact_sheet, load_picture, save_png
from xlxmert.data.easy_vqa import QUESTIONS, read_easy_vqa, write_easy_vqa
from xlxmert.data.pictures import PictureFolder
from xlxmert.data.records import QuestionRecord
from xlxmert.data.submission import read_vqa_submission
from xlxmert.models.lxmert import MINI
from xlxmert.models.lxmert.config import LxmertConfig
from xlxmert.recipes.codebook import CodebookRecipe, fit_codebook
from xlxmert.recipes.command import run_alone
from xlxmert.recipes.evaluate_files import Files, evaluate_files
from xlxmert.recipes.finetune import OPTIM, finetune, finetune_loop, fresh
from xlxmert.recipes.prepare import PrepareRecipe, prepare
from xlxmert.recipes.sources import Sources
from xlxmert.recipes.tables.data import begun_with
from xlxmert.recipes.train_store import Prepared
from xlxmert.studio import Studio
from xlxmert.tasks.answering import AnsweringConfig
from xlxmert.vision.regions import Depth, FeatureSpec

PACKAGE = "easy_vqa"
FEATURES = FeatureSpec(depths=(Depth(4, 2), Depth(8, 1)), colour_parts=4, kept=96, whiten=0.65)
"""The usual features, as far as they can be had of pictures of 64 x 64 pixels in 8 x 8 cells."""
LEARNING = AnsweringConfig(loss="softmax", visual_input="features", optim=OPTIM)
"""A question has one answer, so answers are judged against each other; codes would lose part of the colours."""
SHOWN = 12
"""Pictures on the sheet."""
COLUMNS = 6


@dataclass(frozen=True)
class EasyVqa:
    """Sizes and lengths of the run."""

    size: int = 64
    """Side in pixels to which pictures are brought; they are as large."""
    codes: int = 256
    """K, the visual vocabulary; answers are learned from exact features, so it hardly matters."""
    steps: int = 1500
    """Steps of training."""
    batch: int = 64
    """Questions a step."""
    held: int = 0
    """Keep the last pictures of the training split out, as many as this, and score them instead of the test split."""
    seed: int = 0
    """Of everything that is drawn."""
    shape: LxmertConfig = MINI
    """The model."""


@dataclass(frozen=True)
class Split:
    """Questions and the folder of their pictures."""

    questions: Path
    images: Path


def find_data(given: Path | None = None) -> Path:
    """The folder with ``train`` and ``test``: the given one, or that of the installed package, which is not imported.

    Raises:
        UsageError: no folder is given, and the package is not installed.
        XlxmertError: the folder holds something else.
    """
    if given is None:
        spec = importlib.util.find_spec(PACKAGE)
        if spec is None or not spec.submodule_search_locations:
            raise UsageError(
                "expected the package easy-vqa or a folder of its data, found neither: run `pip install easy-vqa`, or "
                "pass --data"
            )
        given = Path(next(iter(spec.submodule_search_locations))) / "data"
    missing = [name for name in ("train", "test") if not (given / name / QUESTIONS).is_file()]
    if missing:
        raise XlxmertError(f"expected {missing[0]}/{QUESTIONS} in {given}, found none: pass easy_vqa/data as --data")
    return given


def run(
    out: Path, data: Path | None = None, recipe: EasyVqa = EasyVqa(), log: Callable[[str], None] = print
) -> dict[str, Any]:
    """Walk through all stages, each only if it is not there yet; returns what ``scores.json`` holds.

    Args:
        out: where everything goes.
        data: the folder with ``train`` and ``test``; None takes the installed package's.
        recipe: sizes and lengths.
        log: is told what is done.

    Raises:
        UsageError: there is no data.
        XlxmertError: a file is damaged, or ``out`` was begun with other settings.
    """
    data = find_data(data)
    settings = dataclasses.asdict(recipe)
    begun_with(out / "recipe.json", {name: value for name, value in settings.items() if name != "shape"})
    learned, scored = _splits(out, data, recipe.held)
    prepared = _prepared(out, learned, recipe, log)
    log(f"learning from {len(prepared.store.of_kind('question')):,} questions")
    loop = finetune_loop(out / "finetune", recipe.steps, recipe.batch, recipe.seed)
    bundle = finetune(fresh(prepared, recipe.shape, recipe.seed), prepared.store, LEARNING, loop)
    log(f"answering the questions of {scored.questions.parent.name}")
    report = _scored(out, bundle, scored)
    bundle.facts["scores"] = {scored.questions.parent.name: report["scores"]}
    bundle.save_pretrained(out / "checkpoint")
    write_json(out / "scores.json", report)
    return report


def confusion(records: Sequence[QuestionRecord], replies: Sequence[str]) -> list[dict[str, Any]]:
    """Wrong answers by kind of question, right answer and answer that was given; the most frequent first."""
    wrong = Counter(
        (record.question_type, record.raw_answers[0], reply)
        for record, reply in zip(records, replies, strict=True)
        if reply != record.raw_answers[0]
    )
    names = ("question", "right", "given")
    return [dict(zip(names, found, strict=True)) | {"times": times} for found, times in wrong.most_common()]


def _splits(out: Path, data: Path, held: int) -> tuple[Split, Split]:
    """What is learned from, and what is scored."""
    train, test = (Split(data / name / QUESTIONS, data / name / "images") for name in ("train", "test"))
    if not held:
        return train, test
    records = read_easy_vqa(train.questions)
    pictures = sorted({int(record.picture_id) for record in records})
    if not 0 < held < len(pictures):
        raise UsageError(f"expected to keep 1 to {len(pictures) - 1} pictures out, found {held}: pass another --held")
    first = pictures[-held]
    parts = {"learned": [r for r in records if int(r.picture_id) < first]}
    parts["held"] = [r for r in records if int(r.picture_id) >= first]
    for name, some in parts.items():
        write_easy_vqa(out / name / QUESTIONS, some)
    learned, kept = (Split(out / name / QUESTIONS, train.images) for name in parts)
    return learned, kept


def _prepared(out: Path, learned: Split, recipe: EasyVqa, log: Callable[[str], None]) -> Prepared:
    """The visual vocabulary and the store, made or opened."""
    codebook, store = out / "vocabulary.safetensors", out / "store"
    if not codebook.exists():
        log("fitting the visual vocabulary")
        folder = PictureFolder(learned.images)
        paths = sorted({folder.path(record.picture_id) for record in read_easy_vqa(learned.questions)})
        settings = CodebookRecipe(codes=recipe.codes, seed=recipe.seed, features=FEATURES, size=recipe.size)
        fit_codebook(learned.images, settings, paths=paths).vocabulary.save(codebook)
    if not (store / "store.json").exists():
        log("looking at the pictures")
        sources = Sources(learned.images, easy_vqa=(learned.questions,))
        prepare(store, sources, codebook, PrepareRecipe(size=recipe.size, features=True))
    return Prepared.open(store, codebook)


def _scored(out: Path, bundle: Bundle, scored: Split) -> dict[str, Any]:
    """Answer a split's questions; write the answers and the sheet, and count what is right."""
    studio, answers = Studio(bundle, "cpu"), out / "answers.json"
    files = Files(images=scored.images, easy_vqa=scored.questions, submission=answers)
    found = evaluate_files(studio, "vqa", files)
    records = read_easy_vqa(scored.questions)
    replies = list(read_vqa_submission(answers, range(len(records))).values())
    wrong = confusion(records, replies)
    save_png(out / "sheet.png", _sheet(records, replies, scored.images))
    return {
        "questions": found.examples,
        "wrong": sum(row["times"] for row in wrong),
        "scores": found.scores,
        "wrong_answers": wrong,
    }


def _sheet(records: Sequence[QuestionRecord], replies: Sequence[str], images: Path) -> np.ndarray:
    """The first pictures, each with one of its questions, and below them the wrong answers, as many at most."""
    pairs = list(zip(records, replies, strict=True))
    by_picture: dict[int, list[tuple[QuestionRecord, str]]] = {}
    for record, reply in pairs:
        by_picture.setdefault(int(record.picture_id), []).append((record, reply))
    first = [asked[number % len(asked)] for number, asked in enumerate(list(by_picture.values())[:SHOWN])]
    wrong = [(record, reply) for record, reply in pairs if reply != record.raw_answers[0]][:SHOWN]
    rows = [some[start : start + COLUMNS] for some in (first, wrong) for start in range(0, len(some), COLUMNS)]
    titles = ["The first pictures" if row[0] is first[0] else "" for row in rows]
    if wrong:
        titles[-(-len(first) // COLUMNS)] = "Wrong answers"
    folder = PictureFolder(images)
    pixels = [[load_picture(folder.path(record.picture_id), 128) for record, _ in row] for row in rows]
    return contact_sheet(pixels, [[_told(*pair) for pair in row] for row in rows], titles, tile=128)


def _told(record: QuestionRecord, reply: str) -> str:
    right = record.raw_answers[0]
    return f"{record.text} {reply}" + ("" if reply == right else f" (right: {right})")


def main() -> None:
    """Run the recipe from the command line."""

    def easy_vqa(
        out: Path = Path("runs/easy-vqa"), data: Path | None = None, steps: int = EasyVqa.steps, held: int = 0
    ) -> None:
        """Learn easy-VQA and score the test split; call it again to go on after a stop."""
        report = run(out, data, EasyVqa(steps=steps, held=held))
        print(json.dumps(report, indent=2))

    run_alone(easy_vqa)


if __name__ == "__main__":
    main()
