"""easy-VQA's questions about one coloured shape on a plain ground, from and to the files of the package ``easy-vqa``.

The package (MIT) holds a folder for each split, ``train`` and ``test``, with ``questions.json``, a list of ``[question,
answer, number of the picture]``, and the pictures ``images/0.png``, ``images/1.png`` and so on; beside the folders lies
``answers.txt``, one answer per line. Source: github.com/vzhou842/easy-VQA.
"""

from collections.abc import Container, Iterable
from pathlib import Path
from typing import Any

from xlxmert.core.errors import XlxmertError
from xlxmert.data.entries import Entry, brief, load, write_list
from xlxmert.data.records import Id, QuestionRecord

QUESTIONS, ANSWERS = "questions.json", "answers.txt"
_FORM = "a list [question, answer, number of the picture]"


def read_easy_vqa(path: Path, pictures: Container[Id] | None = None) -> list[QuestionRecord]:
    """The questions of a split in their order, numbered from 0, each with its only answer.

    ``answer_type`` is VQA's (``yes/no`` or ``other``); ``question_type`` says what is asked: `question_type`.

    Args:
        path: ``questions.json``, or the split's folder that holds it. Where ``answers.txt`` lies in the same folder or
            the one above, every answer must be among its lines.
        pictures: the numbers of the known pictures; None accepts all.

    Raises:
        XlxmertError: a file is missing, cut short or of another format, a picture is unknown, or an answer is not in
            ``answers.txt``.
    """
    path = Path(path)
    path = path / QUESTIONS if path.is_dir() else path
    rows = load(path)
    if not isinstance(rows, list):
        raise XlxmertError(
            f"expected a list of questions at the top of {path}, found {brief(rows)}: pass easy-VQA's {QUESTIONS}"
        )
    answers = _answers_beside(path)
    return [_question(number, _entry(row, path, number), pictures, answers) for number, row in enumerate(rows)]


def write_easy_vqa(path: Path, records: Iterable[QuestionRecord]) -> None:
    """Write a ``questions.json``, whole or not at all.

    Raises:
        XlxmertError: a question has not exactly one answer, or the file cannot be written.
    """
    write_list(path, map(_row, records))


def question_type(text: str, answer: str) -> str:
    """What a question asks: ``color`` or ``shape``; before it ``has`` or, where it is denied, ``lacks`` for yes or no.

    Colours are asked for by that word, or told of a "shape" (``is there a red shape?``); what else is told of is a
    shape itself (``is there no circle?``).
    """
    words = set(text.lower().replace("?", " ").split())
    if answer not in ("yes", "no"):
        return "color" if "color" in words else "shape"
    return f"{'lacks' if words & {'no', 'not'} else 'has'} {'color' if 'shape' in words else 'shape'}"


def _question(
    number: int, entry: Entry, pictures: Container[Id] | None, answers: tuple[Path, frozenset[str]] | None
) -> QuestionRecord:
    text, answer = entry.text("question"), entry.text("answer")
    picture = entry.known(entry.whole("image", 0), pictures)
    if answers is not None and answer not in answers[1]:
        raise entry.wrong(
            f"one of the {len(answers[1])} answers of {answers[0]}", brief(answer), "take both files from one set"
        )
    return QuestionRecord(
        picture,
        number,
        text,
        {answer: 1.0},
        (answer,),
        question_type(text, answer),
        "yes/no" if answer in ("yes", "no") else "other",
    )


def _row(record: QuestionRecord) -> list[Any]:
    if len(record.raw_answers) != 1:
        raise XlxmertError(
            f"expected one answer to question {record.question_id!r}, found {len(record.raw_answers)}: "
            "write VQA v2's files instead"
        )
    return [record.text, record.raw_answers[0], record.picture_id]


def _entry(row: Any, path: Path, number: int) -> Entry:
    """A row of the file with names for its three members."""
    if isinstance(row, list) and len(row) == 3:
        return Entry(dict(zip(("question", "answer", "image"), row, strict=True)), path, f"[{number}]")
    raise Entry({}, path, f"[{number}]").wrong(_FORM, brief(row))


def _answers_beside(questions: Path) -> tuple[Path, frozenset[str]] | None:
    """The file of all answers and its lines, if there is one."""
    for folder in (questions.parent, questions.resolve().parent.parent):
        file = folder / ANSWERS
        if file.is_file():
            try:
                lines = file.read_text(encoding="utf-8").splitlines()
            except (OSError, ValueError) as error:
                raise XlxmertError(
                    f"expected an answer on each line of {file}, found {error}: check the file"
                ) from error
            return file, frozenset(line.strip() for line in lines if line.strip())
    return None
