"""Answers as the test servers take them, to and from files: COCO captions, VQA v2 and GQA (JSON), NLVR2 (CSV).

What is written can be sent as it is; the readers check files of others too, and give what ``metrics`` scores.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from xlxmert.core.errors import XlxmertError
from xlxmert.core.files import write_text
from xlxmert.data.entries import Entry, brief, read_list, write_list
from xlxmert.data.nlvr2 import picture_names
from xlxmert.data.records import Id

_Key = TypeVar("_Key", int, str, Id)
_Value = TypeVar("_Value", str, bool)


def write_caption_submission(path: Path, captions: Mapping[Id, str], asked: Collection[Id] | None = None) -> None:
    """Write COCO's result file of captions: ``[{"image_id": 42, "caption": "a dog"}, …]``, whole or not at all.

    Args:
        path: the file, for example ``captions_val2014_results.json``.
        captions: by picture id.
        asked: the ids of the split's pictures, all of which must be described; None checks nothing.

    Raises:
        XlxmertError: there is no caption, a picture is not described or was not asked about, or the file cannot be
            written.
    """
    _check_complete(captions, asked, path)
    write_list(path, ({"image_id": name, "caption": caption} for name, caption in captions.items()))


def read_caption_submission(path: Path, asked: Collection[Id] | None = None) -> dict[Id, str]:
    """Captions by picture id, as they stand in COCO's result file.

    Raises:
        XlxmertError: as for `read_vqa_submission`.
    """
    found = ((entry, entry.identity("image_id"), entry.text("caption")) for entry in read_list(path))
    return _collected(found, asked, "picture id", path)


def write_vqa_submission(path: Path, answers: Mapping[int, str], asked: Collection[int] | None = None) -> None:
    """Write VQA v2's result file: ``[{"question_id": 1, "answer": "yes"}, …]``, whole or not at all.

    Answers are written in lower case, as people's are: where all ten agree, the evaluation compares letter for letter.

    Args:
        path: the file, for example ``vqa_test-dev_results.json``.
        answers: by question id.
        asked: the ids of the split's questions, all of which the server wants answered; None checks nothing.

    Raises:
        XlxmertError: there is no answer, a question is not answered or was not asked, or the file cannot be written.
    """
    _check_complete(answers, asked, path)
    write_list(path, ({"question_id": number, "answer": answer.lower()} for number, answer in answers.items()))


def read_vqa_submission(path: Path, asked: Collection[int] | None = None) -> dict[int, str]:
    """Answers by question id, as they stand in VQA v2's result file.

    Raises:
        XlxmertError: the file is missing, cut short, empty or of another format, an id repeats, or a question of
            ``asked`` is not answered or one was not asked.
    """
    found = ((entry, entry.whole("question_id"), entry.text("answer")) for entry in read_list(path))
    return _collected(found, asked, "question id", path)


def write_gqa_submission(path: Path, answers: Mapping[str, str], asked: Collection[str] | None = None) -> None:
    """Write GQA's result file: ``[{"questionId": "201307251", "prediction": "yes"}, …]``, whole or not at all.

    Args:
        path: the file, for example ``submit_predict.json``.
        answers: by question id, which is a string here.
        asked: the ids of the split's questions, all of which the server wants answered; None checks nothing.

    Raises:
        XlxmertError: there is no answer, a question is not answered or was not asked, or the file cannot be written.
    """
    _check_complete(answers, asked, path)
    write_list(path, ({"questionId": name, "prediction": answer} for name, answer in answers.items()))


def read_gqa_submission(path: Path, asked: Collection[str] | None = None) -> dict[str, str]:
    """Answers by question id, as they stand in GQA's result file.

    Raises:
        XlxmertError: as for `read_vqa_submission`.
    """
    found = ((entry, entry.text("questionId"), entry.text("prediction")) for entry in read_list(path))
    return _collected(found, asked, "question id", path)


def write_nlvr2_submission(path: Path, judgements: Mapping[str, bool], asked: Collection[str] | None = None) -> None:
    """Write NLVR2's result file, a line ``test1-0-0-0,True`` per statement and no head, whole or not at all.

    Args:
        path: the file, for example ``test1.csv``.
        judgements: by identifier, whether the statement holds.
        asked: the identifiers of the split's statements, all of which must be judged; None checks nothing.

    Raises:
        XlxmertError: there is no judgement, an identifier is not of the form split-set-pair-sentence, a statement is
            not judged or was not asked, or the file cannot be written.
    """
    for identifier in judgements:
        picture_names(identifier)  # checks the form, which no comma or line break has
    _check_complete(judgements, asked, path)
    write_text(path, "".join(f"{identifier},{judgement}\n" for identifier, judgement in judgements.items()))


def read_nlvr2_submission(path: Path, asked: Collection[str] | None = None) -> dict[str, bool]:
    """Judgements by identifier, from NLVR2's result file; empty lines are passed over, ``true`` is as good as ``True``.

    Raises:
        XlxmertError: as for `read_vqa_submission`.
    """
    found = ((entry, *_judged(entry)) for entry in _read_lines(path))
    return _collected(found, asked, "identifier", path)


def _collected(
    found: Iterable[tuple[Entry, _Key, _Value]], asked: Collection[_Key] | None, what: str, path: Path
) -> dict[_Key, _Value]:
    """The answers of a file by id; no id may stand twice."""
    seen: set[_Key] = set()
    collected = {entry.once(key, seen, what): value for entry, key, value in found}
    _check_complete(collected, asked, path)
    return collected


def _check_complete(found: Mapping[_Key, _Value], asked: Collection[_Key] | None, path: Path) -> None:
    if not found:
        raise XlxmertError(f"expected answers for {path}, found none: servers score whole splits; answer one")
    if asked is None:
        return
    wanted = set(asked)
    missing, foreign = [key for key in wanted if key not in found], [key for key in found if key not in wanted]
    if missing:
        raise XlxmertError(
            f"expected an answer to each of the {len(wanted)} asked for {path}, missing {len(missing)} "
            f"({_some(missing)}): answer the whole split"
        )
    if foreign:
        raise XlxmertError(
            f"expected answers to the {len(wanted)} asked only for {path}, found {len(foreign)} more "
            f"({_some(foreign)}): they belong to another split; leave them out"
        )


def _some(names: list[_Key]) -> str:
    return ", ".join(map(brief, sorted(names)[:3])) + (" …" if len(names) > 3 else "")


def _read_lines(path: Path) -> Iterator[Entry]:
    """The lines of a text file, each under the name ``line``; empty ones are passed over."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise XlxmertError(f"expected lines of identifier,True in {path}, found nothing: check the path") from error
    except (OSError, UnicodeDecodeError) as error:
        raise XlxmertError(f"could not read {path}: {error}") from error
    return (Entry({"line": line}, path, f"line {n}") for n, line in enumerate(lines, start=1) if line.strip())


def _judged(entry: Entry) -> tuple[str, bool]:
    """The identifier and the judgement on a line."""
    line = entry.text("line")
    identifier, _, judgement = (part.strip() for part in line.partition(","))
    if judgement.lower() not in ("true", "false"):
        raise entry.wrong("identifier,True or identifier,False", brief(line))
    try:
        picture_names(identifier)
    except XlxmertError as error:
        raise entry.wrong("an identifier split-set-pair-sentence such as test1-0-0-0", brief(identifier)) from error
    return identifier, judgement.lower() == "true"
