"""VQA v2 accuracy: an answer against those of ten people, with the official evaluation's normalisation.

Where a data set has one answer to a question (easy-VQA), accuracy is whether it was given.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xlxmert.core.errors import UsageError

_COUNTED = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NUMBERS = {"none": "0"} | {word: str(number) for number, word in enumerate(_COUNTED)}
_ARTICLES = frozenset(("a", "an", "the"))
_MARKS = ';/[]"{}()=+\\_-><@`,?!'

_STEMS_BY_ENDING = {
    "n't": "ai are ca could did does do had has have is might must need ought sha should was were wo would",
    "n't've": "could had might should would",
    "'ve": "could might must not should they we what where who would you",
    "'d": "he how it someone something there they where who you",
    "'d've": "he it she somebody someone something there they we who you",
    "'ll": "how it somebody someone something they what who why you",
    "'s": "he how somebody someone that there what when where who why",
    "'re": "there they what why you",
    "": "ma'am o'clock 'ow's'at 'twas y'all y'all'll y'all'd've",
}


def _apostrophes() -> dict[str, str]:
    """Contractions by what is left of them when one apostrophe is forgotten: ``dont`` is ``don't``."""
    table = {"somebody'd": "somebodyd"}  # the official table has this one the wrong way round
    for ending, stems in _STEMS_BY_ENDING.items():
        for word in (stem + ending for stem in stems.split()):
            for place in (match.start() for match in re.finditer("'", word)):
                table[word[:place] + word[place + 1 :]] = word
    return table


_CONTRACTIONS = _apostrophes()


def normalise(answer: str) -> str:
    """The official normal form: no punctuation, lower case, digits for number words, no articles, apostrophes restored.

    A mark that touches a space anywhere in the answer vanishes, any other turns into a space; if a comma stands between
    digits, all marks vanish. Full stops before digits stay; at most 32 others are removed.
    """
    text = original = answer.replace("\n", " ").replace("\t", " ").strip()
    thousands = re.search(r"\d,\d", original) is not None
    for mark in _MARKS:
        apart = f"{mark} " in original or f" {mark}" in original
        text = text.replace(mark, "" if apart or thousands else " ")
    text = re.sub(r"\.(?!\d)", "", text, count=32)
    words = (_NUMBERS.get(word, word) for word in text.lower().split())
    return " ".join(_CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)


def vqa_accuracy(answer: str, people: Sequence[str], strict: bool = True) -> float:
    """Accuracy in [0, 1]: a third for each who said the same, at most 1, averaged over leaving out each person in turn.

    The only answer that is known is right, any other is wrong.
    ``strict`` does as the official evaluation: answers are normalised only where people disagree, so ``Yes`` is wrong
    where all said ``yes``; give answers in lower case. Otherwise they always are.

    Raises:
        UsageError: nobody's answer is given.
    """
    if not people:
        raise UsageError("expected people's answers to score against, found none: VQA v2 has 10 for each question")
    answer = answer.replace("\n", " ").replace("\t", " ").strip()
    if len(set(people)) > 1 or not strict:
        answer, people = normalise(answer), [normalise(other) for other in people]
    same = sum(other == answer for other in people)
    if len(people) == 1:
        return float(same)
    return sum(min(1.0, (same - (other == answer)) / 3) for other in people) / len(people)


@dataclass(frozen=True)
class Question:
    """What a prediction is scored against."""

    answers: tuple[str, ...]
    """Ten people's answers, or the only right one."""
    answer_type: str = "other"
    """``yes/no``, ``number`` or ``other``."""
    question_type: str = ""
    """The question's first words, such as ``how many``; empty where unknown."""


def vqa_scores(
    predictions: Mapping[int, str], questions: Mapping[int, Question], strict: bool = True
) -> dict[str, float]:
    """Mean accuracy in per cent over all questions (``overall``) and per answer type and question type.

    Raises:
        UsageError: there is no question, or one has no prediction.
    """
    missing = sorted(set(questions) - set(predictions))
    if missing or not questions:
        raise UsageError(
            f"expected a prediction for each of {len(questions)} questions, missing {len(missing)} ({missing[:3]} …): "
            "answer the whole split"
        )
    groups: dict[str, list[float]] = defaultdict(list)
    for number, question in questions.items():
        accuracy = vqa_accuracy(predictions[number], question.answers, strict)
        for name in ("overall", question.answer_type, question.question_type):
            if name:
                groups[name].append(accuracy)
    return {name: 100 * sum(each) / len(each) for name, each in groups.items()}


def soft_scores(people: Sequence[str]) -> dict[str, float]:
    """Training targets from people's answers: 0.3, 0.6, 0.9 or 1 for an answer given once, twice, three times or more.

    Answers are normalised first. For ten people this is the accuracy that each answer would get, as LXMERT trains on.
    """
    counts = Counter(normalise(answer) for answer in people)
    return {answer: (0.3, 0.6, 0.9, 1.0)[min(count, 4) - 1] for answer, count in counts.items() if answer}
