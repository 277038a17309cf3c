"""GQA's scores as its official evaluation counts them: accuracy, consistency, validity, plausibility and distribution.

Source: ``eval.py`` of cs.stanford.edu/people/dorarad/gqa/evaluate.html; its grounding score, which needs attention maps
and scene graphs, is left out.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from xlxmert.core.errors import UsageError

Choices = Mapping[str, Mapping[str, Collection[str]]]
"""GQA's choices file (``val_choices.json``): question id → ``valid`` and ``plausible`` → answers."""

_HEADLINES = ("accuracy", "binary", "open", "consistency", "validity", "plausibility", "distribution")
_ANSWERS = {"validity": "valid", "plausibility": "plausible"}
_COMMON = ("color", "material", "shape")
"""What questions for something in common may be answered with, whatever the choices file says."""
_FREE_STEPS = ("exist", "query: name", "choose name")
"""Marks of steps that the evaluation does not count as reasoning."""


@dataclass(frozen=True)
class Question:
    """What a prediction is scored against; whatever is left empty is unknown and not counted by."""

    text: str
    answer: str
    structural: str = ""
    """``query`` (an open question), ``verify``, ``choose``, ``logical`` or ``compare`` (binary ones)."""
    semantic: str = ""
    """``obj``, ``attr``, ``cat``, ``rel`` or ``global``."""
    detailed: str = ""
    entailed: tuple[str, ...] = ()
    """Ids of the questions whose answers follow from this one's."""
    group: str | None = None
    """The global group, within which the distribution of answers is compared."""
    balanced: bool = True
    """Whether the question is counted; the others serve consistency only."""
    program: tuple[str, ...] = ()
    """The functional program's steps, each ``operation: argument``."""

    @property
    def words(self) -> int:
        """The question's length in words."""
        return len(self.text.split())

    @property
    def steps(self) -> int:
        """Steps of reasoning: those of the program but for asking whether something exists or what it is called."""
        return sum(not any(free in step for free in _FREE_STEPS) for step in self.program)


def gqa_scores(
    predictions: Mapping[str, str],
    questions: Mapping[str, Question],
    choices: Choices | None = None,
    consistency: bool = False,
) -> dict[str, float]:
    """All scores over the balanced questions; a prediction is right where it equals the answer letter for letter.

    In per cent:

    - ``accuracy``; ``open`` and ``binary``, accuracy on questions of structural type ``query`` and of all others;
    - ``consistency``: over questions answered right that entail others, the mean accuracy on those others;
    - ``validity`` and ``plausibility``: predictions among the question's ``valid`` or ``plausible`` choices; where the
      detailed type speaks of something ``Common``, among color, material and shape instead;
    - ``structural/…``, ``semantic/…``, ``steps/…`` and ``words/…``: accuracy by type, steps of reasoning and length.

    ``distribution`` is no percentage; see `answer_distribution`. A score for which nothing counts is left out, where
    the official evaluation prints 0.

    Args:
        predictions: answers by question id.
        questions: by question id; unbalanced ones are looked at for consistency only.
        choices: the choices file, published for training and validation; without it ``validity`` and ``plausibility``
            are left out.
        consistency: needs, besides, all entailed questions (``val_all_questions.json``) and predictions for them;
            otherwise it is left out.

    Raises:
        UsageError: no question is balanced; a prediction, an entailed question or a question's choices are missing.
    """
    balanced = {name: question for name, question in questions.items() if question.balanced}
    followers = {name: _followers(name, each) if consistency else [] for name, each in balanced.items()}
    _check(predictions, questions, followers, choices)
    right = {name: predictions[name] == questions[name].answer for name in _looked_at(followers)}
    samples: dict[str, list[float]] = defaultdict(list)
    for name, question in balanced.items():
        for group in _groups(question):
            samples[group].append(right[name])
        if right[name] and followers[name]:
            samples["consistency"].append(sum(right[other] for other in followers[name]) / len(followers[name]))
        if choices is not None:
            for score, kind in _ANSWERS.items():
                samples[score].append(predictions[name] in _allowed(question, choices[name][kind]))
    scores = {name: 100 * sum(values) / len(values) for name, values in samples.items()}
    if any(question.group is not None for question in balanced.values()):
        scores["distribution"] = answer_distribution(predictions, balanced)
    return {name: scores[name] for name in sorted(scores, key=_place)}


def answer_distribution(predictions: Mapping[str, str], questions: Mapping[str, Question]) -> float:
    """How far the predicted answers of each group are from the true ones: 0 where they are as frequent, else more.

    A group's statistic is the sum over its true answers of ``(predicted - true)^2 / true``, in questions; the score is
    its mean over groups, weighted by their questions, divided by 100. Questions without a group and unbalanced ones do
    not count, nor do predictions that are nowhere the group's true answer.

    Raises:
        UsageError: no balanced question has a group, or one has no prediction.
    """
    true: dict[str, Counter[str]] = defaultdict(Counter)
    predicted: dict[str, Counter[str]] = defaultdict(Counter)
    for name, question in questions.items():
        if question.balanced and question.group is not None:
            if name not in predictions:
                raise UsageError(f"expected a prediction for question {name!r}, found none: answer the whole split")
            true[question.group][question.answer] += 1
            predicted[question.group][predictions[name]] += 1
    if not true:
        raise UsageError('expected questions with a global group, found none: read files that have "groups"')
    weighted = sum(answers.total() * _chi_square(answers, predicted[group]) for group, answers in true.items())
    return weighted / sum(answers.total() for answers in true.values()) / 100


def _chi_square(expected: Counter[str], found: Counter[str]) -> float:
    return sum((found[answer] - count) ** 2 / count for answer, count in expected.items())


def _allowed(question: Question, listed: Collection[str]) -> Collection[str]:
    return _COMMON if "Common" in question.detailed else listed


def _followers(name: str, question: Question) -> list[str]:
    return [other for other in question.entailed if other != name]


def _looked_at(followers: Mapping[str, list[str]]) -> set[str]:
    """The balanced questions and those that they entail."""
    return set(followers).union(*followers.values())


def _groups(question: Question) -> Iterator[str]:
    """The names under which a question's accuracy counts."""
    yield "accuracy"
    if question.structural:
        yield "open" if question.structural == "query" else "binary"
        yield f"structural/{question.structural}"
    if question.semantic:
        yield f"semantic/{question.semantic}"
    if question.program:
        yield f"steps/{question.steps}"
    if question.text:
        yield f"words/{question.words}"


def _place(name: str) -> tuple[int, str, int, str]:
    """Where a score stands among the others: the headlines first, then kind by kind, numbers by size."""
    kind, _, value = name.partition("/")
    place = _HEADLINES.index(name) if name in _HEADLINES else len(_HEADLINES)
    return place, kind, int(value) if value.isdecimal() else 0, value


def _check(
    predictions: Mapping[str, str],
    questions: Mapping[str, Question],
    followers: Mapping[str, list[str]],
    choices: Choices | None,
) -> None:
    if not followers:
        raise UsageError(f"expected balanced questions, found none among {len(questions)}: only those are scored")
    needed = _looked_at(followers)
    _none_missing(
        "the entailed questions",
        sorted(needed - questions.keys()),
        "add them (val_all_questions.json) or leave consistency out",
    )
    _none_missing(
        f"a prediction for each of {len(needed)} questions",
        sorted(needed - predictions.keys()),
        "answer the whole split, and for consistency all that it entails",
    )
    if choices is not None:
        kinds = set(_ANSWERS.values())
        lacking = sorted(name for name in followers if not kinds <= choices.get(name, {}).keys())
        _none_missing(
            "valid and plausible choices for each balanced question", lacking, "pass the choices file of this split"
        )


def _none_missing(expected: str, missing: list[str], move: str) -> None:
    if missing:
        raise UsageError(f"expected {expected}, missing {len(missing)} ({', '.join(missing[:3])} …): {move}")
