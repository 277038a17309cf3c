"""HUMMUS, humans measuring semantics using masking: do people find the hidden word of a caption in its picture?

Source: X-LXMERT, Sec. 6.1 ("Our new metric") and App. E.2. The same count serves a model that fills the blanks; its
score has another name, ``auto_hummus``.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xlxmert.core.errors import UsageError

_ARTICLES = ("a", "an", "the")


@dataclass(frozen=True)
class Blank:
    """A word that was hidden."""

    category: str
    """Such as ``noun``, ``verb`` or ``colour``."""
    forms: tuple[str, ...]
    """All inflections of the word: each is right."""


def hummus_scores(answers: Mapping[str, Sequence[str]], blanks: Mapping[str, Blank]) -> dict[str, float]:
    """Shares of blanks, in [0, 1], that a majority filled rightly: by category, and ``mean``, that of the categories.

    A majority is more than half of those who answered (three of the paper's five). An answer is right if it is any
    inflection of the word. Blanks that nobody answered are not counted.

    Args:
        answers: people's answers by blank.
        blanks: the truth; there may be more of them than were answered.

    Raises:
        UsageError: nothing was answered, or an answer is to an unknown blank.
    """
    strange = sorted(answers.keys() - blanks.keys())
    if strange:
        raise UsageError(f"expected answers to {len(blanks)} known blanks, found one to {strange[0]!r}: check the key")
    found: dict[str, list[bool]] = defaultdict(list)
    for name, given in answers.items():
        if given:
            right = sum(is_right(answer, blanks[name]) for answer in given)
            found[blanks[name].category].append(2 * right > len(given))
    if not found:
        raise UsageError(f"expected answers to some of {len(blanks)} blanks, found none: collect answers first")
    scores = {category: sum(each) / len(each) for category, each in sorted(found.items())}
    return scores | {"mean": sum(scores.values()) / len(scores)}


def is_right(answer: str, blank: Blank) -> bool:
    """Whether an answer is any inflection of the hidden word; case, articles and punctuation do not matter."""
    return plain(answer) in {plain(form) for form in blank.forms}


def plain(answer: str) -> str:
    """An answer in lower case, without punctuation, without an article before it."""
    words = re.sub(r"[^\w\s]", " ", answer.lower()).split()
    return " ".join(words[1:] if len(words) > 1 and words[0] in _ARTICLES else words)
