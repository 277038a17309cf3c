"""The answers that people downloaded from a rating page, and their scores by the page's key."""

import csv
import io
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.files import read_json
from xlxmert.metrics.hummus import Blank, hummus_scores
from xlxmert.metrics.preference import Vote, preference

COLUMNS = ["page", "rater", "item", "answer"]
"""Of a file of answers in CSV."""
SIDES = ("left", "right", "tie")


@dataclass(frozen=True)
class Answers:
    """One person's answers."""

    source: Path
    page: str
    """The fingerprint of the page that was answered."""
    rater: str
    by_item: Mapping[str, str]


@dataclass(frozen=True)
class RatingReport:
    """What people's answers amount to."""

    kind: str
    """``hummus``, ``semantics`` or ``fidelity``."""
    raters: int
    items: int
    """Questions on the page."""
    answered: int
    """Questions that somebody answered."""
    answers: int
    scores: dict[str, float]
    """Shares in [0, 1]; for pairs by system, ``tie``, and the sign test's ``p``."""
    details: dict[str, Any]


def score_ratings(key_path: Path, files: Sequence[Path]) -> RatingReport:
    """Score people's answers by the key of their page.

    Raises:
        UsageError: there are no answers, or a person's come twice.
        XlxmertError: a file is damaged, of another page, or answers what was not asked.
    """
    key = read_key(key_path)
    if not files:
        raise UsageError("expected files of answers, found none: name those that people sent back")
    people = [_belonging(each, key) for file in files for each in read_answers(file)]
    raters = [each.rater for each in people]
    twice = sorted({name for name in raters if raters.count(name) > 1})
    if twice:
        raise UsageError(f"expected each person's answers once, found those of '{twice[0]}' twice: leave one out")
    by_item: dict[str, list[str]] = defaultdict(list)
    for person in people:
        for item, answer in person.by_item.items():
            by_item[item].append(answer)
    scores, details = (_hummus if key["kind"] == "hummus" else _pairs)(key, by_item)
    total = sum(map(len, by_item.values()))
    return RatingReport(key["kind"], len(people), len(key["items"]), len(by_item), total, scores, details)


def read_key(path: Path) -> dict[str, Any]:
    """A page's key.

    Raises:
        XlxmertError: the file is missing or no key.
    """
    key = read_json(path)
    if not isinstance(key, dict) or not _is_key(key):
        raise XlxmertError(f"expected the key of a rating page in {path}, found something else: pass key.json")
    return key


def _is_key(key: Mapping[str, Any]) -> bool:
    """Whether all that scoring looks at is there."""
    items, systems = key.get("items"), key.get("systems")
    if "page" not in key or not isinstance(items, dict) or not all(isinstance(item, dict) for item in items.values()):
        return False
    if key.get("kind") == "hummus":
        return all({"category", "forms"} <= item.keys() for item in items.values())
    both = isinstance(systems, dict) and {"one", "other"} <= systems.keys()
    return both and all("left" in item for item in items.values())


def read_answers(path: Path) -> Iterator[Answers]:
    """The answers in a file, JSON or CSV; several people's files may have been joined into one CSV.

    Raises:
        XlxmertError: the file is missing, damaged or holds something else.
    """
    if path.suffix.lower() == ".csv":
        yield from _from_csv(path)
        return
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("answers"), dict):
        raise XlxmertError(f"expected answers from a rating page in {path}, found something else: download them again")
    answers = {str(item): str(answer) for item, answer in content["answers"].items()}
    yield Answers(path, str(content.get("page")), str(content.get("rater")), answers)


def _from_csv(path: Path) -> Iterator[Answers]:
    try:
        rows = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig")))
        names, content = rows.fieldnames, list(rows)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise XlxmertError(f"could not read the answers in {path}: {error}") from error
    if names is None or not set(COLUMNS) <= set(names):
        raise XlxmertError(f"expected the columns {', '.join(COLUMNS)} in {path}, found {names}: download them again")
    people: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for row in content:
        page, rater, item, answer = (row[name] or "" for name in COLUMNS)
        people[page, rater][item] = answer
    for (page, rater), answers in people.items():
        yield Answers(path, page, rater, answers)


def _belonging(answers: Answers, key: Mapping[str, Any]) -> Answers:
    """The answers, if they are to the key's page and to what it asks."""
    if answers.page != key["page"]:
        raise XlxmertError(
            f"expected answers to the page {key['page']}, found some to {answers.page} in {answers.source}: "
            "pass the key that was written with that page"
        )
    strange = sorted(answers.by_item.keys() - key["items"].keys())
    if strange:
        raise XlxmertError(f"expected answers to what was asked, found one to {strange[0]!r} in {answers.source}")
    wrong = [] if key["kind"] == "hummus" else sorted(set(answers.by_item.values()) - set(SIDES))
    if wrong:
        raise XlxmertError(f"expected {', '.join(SIDES)} as answers, found {wrong[0]!r} in {answers.source}")
    return answers


def _hummus(key: Mapping[str, Any], by_item: Mapping[str, Sequence[str]]) -> tuple[dict[str, float], dict[str, Any]]:
    blanks = {name: Blank(item["category"], tuple(item["forms"])) for name, item in key["items"].items()}
    each = [len(answers) for answers in by_item.values()]
    details = {"answers for each": [min(each, default=0), max(each, default=0)], "words": key.get("words")}
    return hummus_scores(by_item, blanks), details


def _pairs(key: Mapping[str, Any], by_item: Mapping[str, Sequence[str]]) -> tuple[dict[str, float], dict[str, Any]]:
    votes = {name: [_vote(key["items"][name], answer) for answer in answers] for name, answers in by_item.items()}
    found, systems = preference(votes), key["systems"]
    scores = {systems["one"]: found.one, systems["other"]: found.other, "tie": found.tie, "p": found.p_value}
    return scores, {"systems": systems, **asdict(found)}


def _vote(item: Mapping[str, str], answer: str) -> Vote:
    """Whom an answer is for: the sides were drawn for each pair."""
    if answer == "tie":
        return "tie"
    left_is_one = item["left"] == "one"
    return "one" if (answer == "left") == left_is_one else "other"
