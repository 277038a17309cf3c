"""From records and what a model made of them to scores: what scoring on files and on the built-in world share.

Scores are shares in [0, 1] but for GQA's distribution and retrieval's median ranks, which have units of their own.
"""

from collections.abc import Mapping, Sequence

from xlxmert.core.axes import Float, Tensor
from xlxmert.core.errors import UsageError
from xlxmert.data.records import PairRecord, QuestionRecord
from xlxmert.metrics.gqa import Choices, gqa_scores
from xlxmert.metrics.gqa import Question as Reasoned
from xlxmert.metrics.nlvr2 import nlvr2_scores
from xlxmert.metrics.retrieval import retrieval_scores
from xlxmert.metrics.vqa import Question as Asked
from xlxmert.metrics.vqa import vqa_scores

OWN_UNITS = ("distribution", "median_rank")
"""Scores that are no percentages."""


def score_vqa(records: Sequence[QuestionRecord], replies: Sequence[str]) -> dict[str, float]:
    """VQA accuracy against people's answers: ``vqa/overall``, and by type of answer and of question.

    Raises:
        UsageError: there is no question, or one has no people's answers.
    """
    if not all(record.raw_answers for record in records):
        raise UsageError("expected people's answers to every question, found some without: pass the annotations")
    asked = {i: Asked(each.raw_answers, each.answer_type, each.question_type) for i, each in enumerate(records)}
    return _shares("vqa", vqa_scores({i: reply.lower() for i, reply in enumerate(replies)}, asked))


def score_gqa(
    records: Sequence[QuestionRecord], replies: Sequence[str], choices: Choices | None = None
) -> dict[str, float]:
    """GQA's scores, ``gqa/accuracy`` and so on; consistency where all entailed questions are among the records.

    Raises:
        UsageError: no question is balanced, or choices are missing.
    """
    questions = {str(record.question_id): _reasoned(record) for record in records}
    predictions = {name: reply for name, reply in zip(questions, replies, strict=True)}
    entailed = {other for each in questions.values() if each.balanced for other in each.entailed}
    consistent = bool(entailed) and entailed <= questions.keys()
    return _shares("gqa", gqa_scores(predictions, questions, choices, consistent))


def score_nlvr2(records: Sequence[PairRecord], judgements: Sequence[bool]) -> dict[str, float]:
    """``nlvr2/accuracy`` over statements and ``nlvr2/consistency`` over sentences.

    Raises:
        UsageError: there is no statement.
    """
    labels = {record.identifier: record.label for record in records}
    return _shares("nlvr2", nlvr2_scores(dict(zip(labels, judgements, strict=True)), labels))


def score_retrieval(odds: Float[Tensor, "B S"], pictures: Sequence[int]) -> dict[str, float]:
    """``retrieval/text_to_image/R@1`` and so on, of scores of pictures (rows) and sentences (columns).

    Args:
        odds: the higher, the better they fit.
        pictures: for each sentence the row of its picture.

    Raises:
        UsageError: there is no sentence.
        XlxmertError: a score is no number.
    """
    return _shares("retrieval", retrieval_scores(odds, pictures))


def _reasoned(record: QuestionRecord) -> Reasoned:
    """A GQA question as its metric takes it."""
    return Reasoned(
        record.text,
        next(iter(record.raw_answers or record.answers), ""),
        record.structural_type,
        record.semantic_type,
        record.detailed_type,
        record.entailed,
        record.group,
        record.is_balanced,
        tuple(f"{step.operation}: {step.argument}" for step in record.program),
    )


def _shares(task: str, scores: Mapping[str, float]) -> dict[str, float]:
    """Scores by their full names, percentages as shares."""
    return {
        f"{task}/{name}": value if name.rpartition("/")[2] in OWN_UNITS else value / 100
        for name, value in scores.items()
    }
