"""LXMERT's fine-tuning files: questions and statements with the names of their pictures (github.com/airsplay/lxmert).

``vqa/{train,nominival,minival,test}.json`` and ``gqa/{train,valid,testdev}.json`` are lists of questions, ``{"img_id":
"COCO_train2014_000000458752", "label": {"net": 1}, "question_id": 458752000, "sent": "What is this ..."}``, of VQA with
``answer_type`` and ``question_type``; ``nlvr2/{train,valid,test}.json`` are lists of statements, ``{"identifier":
"train-10171-0-0", "img0": "train-10171-0-img0", "img1": ..., "label": 0, "sent": ..., "uid": "nlvr2_train_0"}``. They
are read one entry at a time.
"""

from collections.abc import Container, Iterator
from pathlib import Path

from xlxmert.data.entries import Entry, brief
from xlxmert.data.nlvr2 import IDENTIFIER
from xlxmert.data.pretraining import soft_answers
from xlxmert.data.records import Id, PairRecord, QuestionRecord
from xlxmert.data.streams import stream_list

ANSWER_TYPES = ("yes/no", "number", "other")
"""VQA's."""


def is_pairs(path: Path) -> bool:
    """Whether a file holds statements about two pictures; its first entry tells.

    Raises:
        XlxmertError: the file is missing, cut short or no list of objects.
    """
    return any("img0" in entry for entry in _first(path))


def read_tuning(path: Path, pictures: Container[Id] | None = None) -> Iterator[QuestionRecord]:
    """The questions of a file with their soft answers, one at a time; those of test sets have none.

    Args:
        path: the file, plain or gzip.
        pictures: the names of the known pictures; None accepts all.

    Raises:
        XlxmertError: the file is missing, cut short or of another format, a question repeats, a picture is unknown, or
            a score is not in (0, 1].
    """
    seen: set[Id] = set()
    for entry in stream_list(path):
        yield QuestionRecord(
            entry.known(entry.text("img_id"), pictures),
            entry.once(entry.identity("question_id"), seen, "question id"),
            entry.text("sent"),
            soft_answers(entry.entry("label")) if "label" in entry else {},
            question_type=entry.text_or("question_type", ""),
            answer_type=_answer_type(entry),
        )


def read_tuning_pairs(path: Path, pictures: Container[Id] | None = None) -> Iterator[PairRecord]:
    """The statements of a file, one at a time.

    Args:
        path: the file, plain or gzip.
        pictures: the names of the known pictures; None accepts all.

    Raises:
        XlxmertError: the file is missing, cut short or of another format, a statement repeats, or a picture is unknown.
    """
    seen: set[str] = set()
    uids: set[str] = set()
    for entry in stream_list(path):
        left, right = (entry.known(entry.text(side), pictures) for side in ("img0", "img1"))
        identifier = entry.once(entry.text("identifier"), seen, "identifier")
        if not IDENTIFIER.fullmatch(identifier):
            raise entry.wrong("an identifier split-set-pair-sentence such as train-10171-0-0", brief(identifier))
        entry.once(entry.text("uid"), uids, "uid")
        yield PairRecord(left, right, identifier, entry.text("sent"), entry.flag("label"))


def _first(path: Path) -> Iterator[Entry]:
    for entry in stream_list(path):
        yield entry
        return


def _answer_type(entry: Entry) -> str:
    found = entry.text_or("answer_type", "")
    if found and found not in ANSWER_TYPES:
        raise entry.wrong(f'one of {", ".join(ANSWER_TYPES)} as "answer_type"', brief(found))
    return found
