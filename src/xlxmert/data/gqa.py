"""GQA's questions with their functional programs, from and to ``*_questions.json`` (visualreasoning.net).

The file is one object: question id → question. Ids are strings throughout, also those of pictures.
"""

from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from xlxmert.core.errors import XlxmertError
from xlxmert.data.entries import Entry, read_members, write_members
from xlxmert.data.pictures import list_files
from xlxmert.data.records import Id, ProgramStep, QuestionRecord


def read_gqa(path: Path, pictures: Iterable[Id] | None = None) -> list[QuestionRecord]:
    """The questions of a file, or of all JSON files in a folder, as ``train_all_questions`` is published.

    Args:
        path: the file or folder.
        pictures: the ids of the known pictures, which are compared as strings; None accepts all.

    Raises:
        XlxmertError: a file is missing, cut short or of another format, an id repeats, or a picture is unknown.
    """
    path = Path(path)
    known = None if pictures is None else frozenset(map(str, pictures))
    sources = [path]
    if path.is_dir():
        sources = [file for file in list_files(path) if file.suffix.lower() == ".json"]
        if not sources:
            raise XlxmertError(f"expected JSON files of questions in {path}, found none: check the path")
    seen: set[Id] = set()
    return [_question(name, entry, known, seen) for source in sources for name, entry in read_members(source)]


def read_choices(path: Path) -> dict[str, dict[str, tuple[str, ...]]]:
    """The answers that are ``valid`` and ``plausible`` for each question, from ``train_choices.json`` or its like.

    Raises:
        XlxmertError: the file is missing, cut short or of another format.
    """
    return {name: {kind: entry.strings(kind) for kind in ("valid", "plausible")} for name, entry in read_members(path)}


def write_gqa(path: Path, records: Iterable[QuestionRecord]) -> None:
    """Write a ``*_questions.json``, whole or not at all; a question without answers is written as in the test sets.

    Raises:
        XlxmertError: a question id repeats, or the file cannot be written.
    """
    write_members(path, _members(records))


def semantic_string(program: Iterable[ProgramStep]) -> str:
    """A program on one line, as in ``semanticStr``: ``select: sky (2486325)->verify color: dark [0]``."""
    return "->".join(
        f"{step.operation}: {step.argument}"
        + (f" [{', '.join(map(str, step.dependencies))}]" if step.dependencies else "")
        for step in program
    )


def _question(name: str, entry: Entry, pictures: Container[Id] | None, seen: set[Id]) -> QuestionRecord:
    question_id = entry.once(name, seen, "question id")
    picture_id = entry.known(str(entry.identity("imageId")), pictures)
    text, balanced = entry.text("question"), entry.flag("isBalanced")
    if not {"answer", "fullAnswer", "types", "semantic"} & entry.content.keys():
        return QuestionRecord(picture_id, question_id, text, is_balanced=balanced)
    answer = entry.text("answer")
    types, groups = (entry.entry(key) if key in entry else Entry({}, entry.source, "") for key in ("types", "groups"))
    return QuestionRecord(
        picture_id,
        question_id,
        text,
        {answer: 1.0},
        (answer,),
        full_answer=entry.text_or("fullAnswer", ""),
        structural_type=types.text_or("structural", ""),
        semantic_type=types.text_or("semantic", ""),
        detailed_type=types.text_or("detailed", ""),
        entailed=entry.strings("entailed") if "entailed" in entry else (),
        equivalent=entry.strings("equivalent") if "equivalent" in entry else (),
        group=groups.text_or("global", None),
        local_group=groups.text_or("local", None),
        is_balanced=balanced,
        program=tuple(map(_step, entry.entries("semantic"))) if "semantic" in entry else (),
        annotations=_annotations(entry.entry("annotations")) if "annotations" in entry else {},
    )


def _step(entry: Entry) -> ProgramStep:
    dependencies = entry.member("dependencies")
    if not isinstance(dependencies, list) or not all(type(number) is int for number in dependencies):
        raise entry.wrong('a list of whole numbers as "dependencies"', repr(dependencies)[:60])
    return ProgramStep(entry.text("operation"), tuple(dependencies), entry.text("argument"))


def _annotations(entry: Entry) -> dict[str, dict[str, str]]:
    parts = {part: entry.entry(part) for part in entry.content}
    return {
        part: {place: spans.text(place) for place in spans.content} for part, spans in parts.items() if spans.content
    }


def _members(records: Iterable[QuestionRecord]) -> Iterator[tuple[str, dict[str, Any]]]:
    seen: set[str] = set()
    for record in records:
        name = str(record.question_id)
        if name in seen:
            raise XlxmertError(f"expected distinct question ids, found {name!r} twice: number the questions anew")
        seen.add(name)
        yield name, _content(record)


def _content(record: QuestionRecord) -> dict[str, Any]:
    asked = {"imageId": str(record.picture_id), "question": record.text, "isBalanced": record.is_balanced}
    if not record.answers and not record.raw_answers:
        return asked
    annotations: Mapping[str, Mapping[str, str]] = {"answer": {}, "question": {}, "fullAnswer": {}} | dict(
        record.annotations
    )
    return {
        "semantic": [
            {"operation": step.operation, "dependencies": step.dependencies, "argument": step.argument}
            for step in record.program
        ],
        "entailed": record.entailed,
        "equivalent": record.equivalent,
        "question": record.text,
        "imageId": asked["imageId"],
        "isBalanced": record.is_balanced,
        "groups": {"global": record.group, "local": record.local_group},
        "answer": record.raw_answers[0]
        if record.raw_answers
        else max(record.answers, key=lambda answer: record.answers[answer]),
        "semanticStr": semantic_string(record.program),
        "annotations": annotations,
        "types": {
            "detailed": record.detailed_type,
            "semantic": record.semantic_type,
            "structural": record.structural_type,
        },
        "fullAnswer": record.full_answer,
    }
