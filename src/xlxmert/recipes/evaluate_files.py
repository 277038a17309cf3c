"""Scores of a checkpoint on annotation files in the published formats, and its answers as the test servers take them.

    xlxmert evaluate vqa --images val2014 --questions v2_OpenEnded_mscoco_val2014_questions.json \\
        --annotations v2_mscoco_val2014_annotations.json
    xlxmert evaluate vqa --images easy_vqa/data/test/images --easy-vqa easy_vqa/data/test
    xlxmert evaluate gqa --images images --questions submission_all_questions.json --submission submit_predict.json
    xlxmert evaluate caption --images val2014 --karpathy dataset_coco.json --split test

Everything is read and checked before the first picture is looked at, and a submission is written whole at the end.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.data.easy_vqa import read_easy_vqa
from xlxmert.data.gqa import read_choices, read_gqa
from xlxmert.data.nlvr2 import read_nlvr2
from xlxmert.data.records import Id, QuestionRecord
from xlxmert.data.submission import (
    write_caption_submission,
    write_gqa_submission,
    write_nlvr2_submission,
    write_vqa_submission,
)
from xlxmert.data.vqa import read_vqa
from xlxmert.metrics.caption import caption_scores
from xlxmert.metrics.caption_java import JavaScore, need_java
from xlxmert.metrics.gqa import Choices
from xlxmert.recipes.captioned import WHOLE, Captioned, Part, read_captioned
from xlxmert.recipes.judging import readable
from xlxmert.recipes.reading import Progress, no_progress
from xlxmert.recipes.sources import finder
from xlxmert.studio import Studio
from xlxmert.tasks.scoring import score_gqa, score_nlvr2, score_retrieval, score_vqa

NEEDED = {
    "caption": ("captions", "karpathy"),
    "vqa": ("questions", "easy_vqa"),
    "gqa": ("questions",),
    "nlvr2": ("statements",),
    "retrieval": ("captions", "karpathy"),
}
"""The file that each task cannot do without, or the two of which it needs one."""
ALLOWED = {
    "caption": ("submission",),
    "vqa": ("annotations", "submission"),
    "gqa": ("choices", "submission"),
    "nlvr2": ("submission",),
    "retrieval": (),
}
"""What else it takes."""
TOGETHER = 256
"""Questions or statements that are answered before progress is told."""
PICTURES = 16
"""Pictures that meet all sentences before progress is told."""
T = TypeVar("T")


@dataclass(frozen=True)
class Files:
    """Score on files in the published formats instead of the built-in world: name one task, --images and its file."""

    images: Path | None = None
    """The folder of pictures; folders within are searched too."""
    questions: Path | None = None
    """vqa: v2_OpenEnded_*_questions.json; gqa: *_questions.json, a file or a folder."""
    annotations: Path | None = None
    """vqa: v2_*_annotations.json, people's answers; without them the answers can only be written."""
    easy_vqa: Path | None = None
    """vqa, in place of --questions and --annotations: easy-VQA's questions.json, or a split's folder with it."""
    choices: Path | None = None
    """gqa: *_choices.json, for validity and plausibility."""
    statements: Path | None = None
    """nlvr2: dev.json, test1.json and their like."""
    captions: Path | None = None
    """paint, caption and retrieval: COCO's captions_*.json; of the last two one's own .jsonl, .csv or .txt too."""
    karpathy: Path | None = None
    """caption and retrieval, in place of --captions: Karpathy's dataset_coco.json, dataset_flickr30k.json and their
    like; --split says which of the splits."""
    submission: Path | None = None
    """Write the answers here, as the task's test server takes them."""

    @property
    def given(self) -> dict[str, Path]:
        """Those that are named."""
        return {name: path for name, path in vars(self).items() if path is not None}


@dataclass(frozen=True)
class FileReport:
    """What came of it."""

    examples: int
    """Questions, statements or captions."""
    scores: dict[str, float]
    """Empty where the right answers are not known."""
    submission: Path | None
    """Where the answers were written."""
    shortened: int = 0
    """Sentences that were longer than the model can read and lost their last words."""
    empty: int = 0
    """Captions that were left out because they hold no word."""


def evaluate_files(
    studio: Studio,
    task: str,
    files: Files,
    progress: Progress = no_progress,
    java: Sequence[JavaScore] = (),
    part: Part = WHOLE,
) -> FileReport:
    """Answer all of a file's questions, score them if the right answers are known, and write them if that is wanted.

    Args:
        studio: answers.
        task: which of `NEEDED`.
        files: where its questions and pictures are.
        progress: told how much is done.
        java: what captions are scored with besides.
        part: which pictures of a Karpathy file, and how many are told apart at a time.

    Raises:
        UsageError: files are missing or belong to another task, or a split is unknown.
        XlxmertError: a file is missing, damaged or of another format, a picture is not there or cannot be read, or the
            submission cannot be written.
    """
    check_files(task, files)
    if task == "caption":
        return _caption(studio, files, progress, java, part)
    if task == "retrieval":
        return _retrieval(studio, files, progress, part)
    return {"vqa": _vqa, "gqa": _gqa, "nlvr2": _nlvr2}[task](studio, files, progress)


def check_files(task: str, files: Files) -> None:
    """Make sure that a task has its files and no others.

    Raises:
        UsageError: it lacks one or has one too many, or the submission would replace a folder.
    """
    if task not in NEEDED:
        raise UsageError(f"expected one of {', '.join(('paint', *NEEDED))} to score on files, found '{task}': name one")
    needed, named = {"images", *NEEDED[task]}, " or ".join(map(_flag, NEEDED[task]))
    found = [name for name in NEEDED[task] if name in files.given]
    if len(found) > 1:
        raise UsageError(f"expected {named} for {task}, found both: leave one of them out")
    if not found or files.images is None:
        raise UsageError(f"expected {named if not found else '--images'} for {task} on files, found none: pass it")
    if strange := sorted(files.given.keys() - needed - set(ALLOWED[task])):
        raise UsageError(f"expected no {_flag(strange[0])} for {task}: leave it out")
    if files.easy_vqa is not None and files.annotations is not None:
        raise UsageError("expected no --annotations beside --easy-vqa, which holds its answers: leave them out")
    if files.submission is not None and files.submission.is_dir():
        raise UsageError(f"expected to write a file at {files.submission}, found a folder: name a file in it")


def _caption(studio: Studio, files: Files, progress: Progress, java: Sequence[JavaScore], part: Part) -> FileReport:
    for name in java:
        need_java(name)
    told = _captioned(files, part)
    references: dict[Id, list[str]] = {}
    for record in told.captions:
        references.setdefault(record.picture_id, []).append(record.text)
    find = finder(told.images, told.pictures, told.source)
    paths = [find(name) for name in references]
    written: list[str] = []
    progress(0, len(paths))
    for start in range(0, len(paths), PICTURES):
        written += [captions[0].text for captions in studio.caption(paths[start : start + PICTURES])]
        progress(len(written), len(paths))
    scores = caption_scores(written, list(references.values()), java)
    if files.submission is not None:
        write_caption_submission(files.submission, dict(zip(references, written, strict=True)))
    named = {f"caption/{name}": value for name, value in scores.items()}
    return FileReport(len(paths), named, files.submission, empty=told.empty)


def _vqa(studio: Studio, files: Files, progress: Progress) -> FileReport:
    source = files.easy_vqa or files.questions
    assert files.images is not None and source is not None
    records = read_vqa(source, files.annotations) if files.easy_vqa is None else read_easy_vqa(source)
    known = files.annotations is not None or files.easy_vqa is not None
    if not known:
        _need_submission(files, "--annotations")
    numbers = [each.question_id for each in records if isinstance(each.question_id, int)]
    if files.submission is not None and len(numbers) < len(records):
        raise XlxmertError(
            f"expected whole numbers as question ids in {source}, found others: VQA's server takes no others"
        )
    replies, cut = _replies(studio, records, files.images, source, progress)
    scores = score_vqa(records, replies) if known else {}
    if files.submission is not None:
        write_vqa_submission(files.submission, dict(zip(numbers, replies, strict=True)), numbers)
    return FileReport(len(records), scores, files.submission, cut)


def _gqa(studio: Studio, files: Files, progress: Progress) -> FileReport:
    assert files.images is not None and files.questions is not None
    records = read_gqa(files.questions)
    known = all(record.raw_answers for record in records)
    if not known:
        _need_submission(files, "questions with answers")
    choices = None if files.choices is None else _choices(files.choices, records)
    replies, cut = _replies(studio, records, files.images, files.questions, progress)
    scores = score_gqa(records, replies, choices) if known else {}
    if files.submission is not None:
        names = [str(record.question_id) for record in records]
        write_gqa_submission(files.submission, dict(zip(names, replies, strict=True)), names)
    return FileReport(len(records), scores, files.submission, cut)


def _nlvr2(studio: Studio, files: Files, progress: Progress) -> FileReport:
    assert files.images is not None and files.statements is not None
    records = _some(read_nlvr2(files.statements), files.statements, "statements")
    find = finder(files.images, (), files.statements)
    sides = [(find(record.left_id), find(record.right_id)) for record in records]
    told, cut = readable(studio, [record.sentence for record in records])
    judgements: list[bool] = []
    progress(0, len(records))
    for start in range(0, len(records), TOGETHER):
        part = slice(start, start + TOGETHER)
        lefts, rights = zip(*sides[part], strict=True)
        judgements += (studio.verify(lefts, rights, told[part]) >= 0.5).tolist()
        progress(len(judgements), len(records))
    if files.submission is not None:
        names = [record.identifier for record in records]
        write_nlvr2_submission(files.submission, dict(zip(names, judgements, strict=True)), names)
    return FileReport(len(records), score_nlvr2(records, judgements), files.submission, cut)


def _retrieval(studio: Studio, files: Files, progress: Progress, part: Part) -> FileReport:
    told = _captioned(files, part)
    find = finder(told.images, told.pictures, told.source)
    paths = [find(picture.id) for picture in told.pictures]
    texts, cut = readable(studio, [caption.text for caption in told.captions])
    rows = {picture.id: row for row, picture in enumerate(told.pictures)}
    own = np.array([rows[caption.picture_id] for caption in told.captions])
    folds = np.array_split(np.arange(len(paths)), part.folds)
    for fold in folds:
        if not np.isin(own, fold).any():
            raise XlxmertError(
                f"expected pictures and captions in each of {part.folds} folds of {told.source}, found {len(paths)} "
                f"pictures and {len(own)} captions, none in one of them: pass a smaller --folds"
            )
    scores: list[dict[str, float]] = []
    progress(0, len(paths))
    for fold in folds:
        mine = np.flatnonzero(np.isin(own, fold))
        odds: list[np.ndarray] = []
        for some in np.array_split(fold, -(-len(fold) // PICTURES)):
            odds.append(studio.retrieve([paths[row] for row in some], [texts[i] for i in mine]).odds)
            progress(int(some[-1]) + 1, len(paths))
        scores.append(score_retrieval(torch.from_numpy(np.concatenate(odds)), (own[mine] - fold[0]).tolist()))
    mean = {name: sum(each[name] for each in scores) / len(scores) for name in scores[0]}
    return FileReport(len(own), mean, None, cut, told.empty)


def _replies(
    studio: Studio, records: Sequence[QuestionRecord], images: Path, source: Path, progress: Progress
) -> tuple[list[str], int]:
    """An answer to every question, those about one picture together; and how many questions were shortened."""
    find = finder(images, (), source)
    paths = [find(record.picture_id) for record in _some(records, source, "questions")]
    told, cut = readable(studio, [record.text for record in records])
    order = sorted(range(len(records)), key=paths.__getitem__)
    replies: dict[int, str] = {}
    progress(0, len(records))
    for start in range(0, len(order), TOGETHER):
        some = order[start : start + TOGETHER]
        found = studio.reply([paths[i] for i in some], [told[i] for i in some])
        replies |= dict(zip(some, found, strict=True))
        progress(len(replies), len(records))
    return [replies[i] for i in range(len(records))], cut


def _captioned(files: Files, part: Part) -> Captioned:
    source = files.karpathy or files.captions
    assert files.images is not None and source is not None
    found = read_captioned(files.images, source, part.split if files.karpathy else None)
    _some(found.captions, source, "captions")
    return found


def _choices(path: Path, records: Iterable[QuestionRecord]) -> Choices:
    """GQA's choices file, with choices for every balanced question."""
    content = read_choices(path)
    missing = [r.question_id for r in records if r.is_balanced and r.question_id not in content]
    if missing:
        raise XlxmertError(
            f"expected choices for question {missing[0]} in {path}, found none for {len(missing)} questions: "
            "take the file of the same split"
        )
    return content


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _need_submission(files: Files, other: str) -> None:
    if files.submission is None:
        raise UsageError(f"expected {other} to score with, or --submission to write answers to, found neither")


def _some(records: Sequence[T], source: Path, what: str) -> list[T]:
    if not records:
        raise XlxmertError(f"expected {what} in {source}, found none: check the file")
    return list(records)
