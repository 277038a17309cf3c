"""VQA v2's questions and ten answers each, from and to its two files (visualqa.org/download.html).

``v2_OpenEnded_mscoco_*_questions.json`` holds the questions, ``v2_mscoco_*_annotations.json`` the answers, which
test sets lack.
"""

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from xlxmert.core.errors import XlxmertError
from xlxmert.data.entries import Entry, brief, read_object, write_object
from xlxmert.data.records import About, Id, QuestionRecord

_SCORES = (0.0, 0.3, 0.6, 0.9)


def soft_scores(raw_answers: Iterable[str]) -> dict[str, float]:
    """Each answer's training target: 0.3, 0.6, 0.9 and then 1 for being given once, twice, three times, more often.

    This is the mean over annotators of min(1, others who agree / 3) for ten annotators (VQA v2's evaluation).
    """
    return {answer: _SCORES[count] if count < 4 else 1.0 for answer, count in Counter(raw_answers).items()}


def read_vqa(
    questions: Path, annotations: Path | None = None, pictures: Container[Id] | None = None
) -> list[QuestionRecord]:
    """The questions of a file and, where ``annotations`` are given, their answers, in the order of the questions.

    Args:
        questions: ``v2_OpenEnded_mscoco_*_questions.json``.
        annotations: ``v2_mscoco_*_annotations.json``; it must answer exactly these questions.
        pictures: the ids of the known pictures; None accepts all.

    Raises:
        XlxmertError: a file is missing, cut short or of another format, an id repeats, a picture is unknown, or the two
            files do not belong together.
    """
    seen: set[Id] = set()
    asked = [
        QuestionRecord(
            entry.known(entry.identity("image_id"), pictures),
            entry.once(entry.identity("question_id"), seen, "question id"),
            entry.text("question"),
        )
        for entry in read_object(questions).entries("questions")
    ]
    if annotations is None:
        return asked
    answered = _answered(annotations, {question.question_id: question for question in asked})
    unanswered = [question.question_id for question in asked if question.question_id not in answered]
    if unanswered:
        raise XlxmertError(
            f"expected an answer to every question of {questions} in {annotations}, found none to "
            f"{brief(unanswered[0])} and {len(unanswered) - 1} others: "
            "the two files belong to different splits, or one was cut"
        )
    return [answered[question.question_id] for question in asked]


def write_vqa(
    questions: Path,
    annotations: Path | None,
    records: Iterable[QuestionRecord],
    subset: str,
    about: About | None = None,
) -> None:
    """Write a file of questions and, unless ``annotations`` is None, one of answers; each whole or not at all.

    Args:
        questions: the file of questions.
        annotations: the file of answers; None for a test set.
        records: the questions, with raw answers where they are to be written.
        subset: the split's name in the files, such as ``train2014``.
        about: what the files say of themselves.

    Raises:
        XlxmertError: a question to be annotated has no raw answer, or a file cannot be written.
    """
    records = list(records)
    head = _head(about or About(), subset)
    asked = ({"image_id": each.picture_id, "question": each.text, "question_id": each.question_id} for each in records)
    if annotations is not None:
        write_object(annotations, head | {"annotations": map(_annotation, records)})
    write_object(questions, head | {"task_type": "Open-Ended", "questions": asked})


def _answered(path: Path, asked: Mapping[Id, QuestionRecord]) -> dict[Id, QuestionRecord]:
    answered: dict[Id, QuestionRecord] = {}
    seen: set[Id] = set()
    for entry in read_object(path).entries("annotations"):
        question_id = entry.once(entry.identity("question_id"), seen, "question id")
        question = asked.get(question_id)
        if question is None:
            raise entry.wrong(
                "the id of a question", brief(question_id), "questions and answers belong to different splits"
            )
        if entry.identity("image_id") != question.picture_id:
            raise entry.wrong(f"picture {question.picture_id!r} as in the questions", brief(entry.member("image_id")))
        answered[question_id] = _with_answers(question, entry)
    return answered


def _with_answers(question: QuestionRecord, entry: Entry) -> QuestionRecord:
    answers = list(entry.entries("answers"))
    if not answers:
        raise entry.wrong('at least one of "answers"', "none")
    raw_answers = tuple(answer.text("answer") for answer in answers)
    confidences = tuple(answer.text_or("answer_confidence", "yes") for answer in answers)
    return QuestionRecord(
        question.picture_id,
        question.question_id,
        question.text,
        soft_scores(raw_answers),
        raw_answers,
        entry.text_or("question_type", ""),
        entry.text_or("answer_type", ""),
        () if set(confidences) == {"yes"} else confidences,
    )


def _annotation(record: QuestionRecord) -> dict[str, Any]:
    if not record.raw_answers:
        raise XlxmertError(
            f"expected raw answers to question {record.question_id!r}, found none: "
            "give them, or write a test set without annotations"
        )
    confidences: Sequence[str] = record.confidences or ("yes",) * len(record.raw_answers)
    return {
        "question_type": record.question_type,
        "multiple_choice_answer": Counter(record.raw_answers).most_common(1)[0][0],
        "answers": [
            {"answer": answer, "answer_confidence": confidence, "answer_id": number}
            for number, (answer, confidence) in enumerate(zip(record.raw_answers, confidences, strict=True), start=1)
        ],
        "image_id": record.picture_id,
        "answer_type": record.answer_type,
        "question_id": record.question_id,
    }


def _head(about: About, subset: str) -> dict[str, Any]:
    return {
        "info": {
            "description": about.description,
            "url": about.url,
            "version": "2.0",
            "year": about.year,
            "contributor": about.contributor,
            "date_created": about.date,
        },
        "license": {"url": about.license_url, "name": about.license_name},
        "data_type": "mscoco",
        "data_subtype": subset,
    }
