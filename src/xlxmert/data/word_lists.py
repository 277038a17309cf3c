"""Lists of words by category, and how captions are changed with them: one word found, swapped for another, or hidden.

X-LXMERT's hard R-precision swaps the first detected noun, verb, colour or number of a caption for another of the same
category, and its HUMMUS hides it (Sec. 6.1, App. E). The paper finds words with a part-of-speech tagger and never
published its lists; here the lists themselves find them: every inflection of every word is looked for, the longest
first, and a rule of the list says what the neighbours must look like. `xlxmert.data.coco_words` and
`xlxmert.data.world.word_list` hold the lists.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from xlxmert.core.errors import UsageError
from xlxmert.core.seeds import numpy_generator

CATEGORIES = ("noun", "verb", "colour", "number")
"""In the order of X-LXMERT's table 6."""
Word = tuple[str, ...]
"""All inflections of a word, in an order that the words of its category share; the first is its name."""


@dataclass(frozen=True)
class Found:
    """A word in a caption."""

    category: str
    word: Word
    form: int
    """Which of its inflections it is."""
    start: int
    """Its place in the caption, in letters."""
    end: int
    """Where it ends."""


@dataclass(frozen=True)
class Context:
    """What a rule may look at: a caption's words in lower case, and which of them were found."""

    category: str
    form: int
    found: str
    before: tuple[str, ...]
    """The words before it, the last one last."""
    after: tuple[str, ...]
    """The words behind it."""


def anywhere(context: Context) -> bool:
    """The rule of lists whose words cannot be mistaken."""
    return True


@dataclass(frozen=True)
class Lexicon:
    """Words by category.

    Args:
        name: what a report calls it.
        words: the lists.
        passed: phrases that are passed over as wholes, since a word in them means something else.
        allowed: a rule; a find that it refuses is passed over.
    """

    name: str
    words: Mapping[str, tuple[Word, ...]]
    passed: tuple[str, ...] = ()
    allowed: Callable[[Context], bool] = anywhere

    def find(self, caption: str, category: str) -> Found | None:
        """The first word of a category in a caption; None where there is none.

        Raises:
            UsageError: the lists know no such category.
        """
        if category not in self.words:
            raise UsageError(f"expected a category of {', '.join(self.words)}, found '{category}': choose one of them")
        text = caption.lower()
        if len(text) != len(caption):  # a few letters grow when they are made small
            text = caption
        forms = self._forms[category]
        for match in self._patterns[category].finditer(text):
            for word, form in forms.get(_spaced(match[0]), ()):
                if self.allowed(_context(text, match, category, form)):
                    return Found(category, word, form, *match.span())
        return None

    def others(self, caption: str, found: Found) -> list[Word]:
        """The words that may replace it: of its category, with no inflection that the caption holds already."""
        text = f" {' '.join(_words(caption.lower()))} "
        return [
            word
            for word in self.words[found.category]
            if word != found.word and not any(f" {_spaced(form)} " in text for form in word)
        ]

    def swaps(self, caption: str, category: str, count: int, *key: int | str) -> list[str] | None:
        """The caption with its first word of a category swapped for ``count`` others, drawn by ``key``.

        None where no word is found, or fewer others are left than asked for, so that every caption of a category has
        as many rivals.
        """
        found = self.find(caption, category)
        others = [] if found is None else self.others(caption, found)
        if found is None or len(others) < count:
            return None
        chosen = numpy_generator("swaps", self.name, category, *key).choice(len(others), count, replace=False)
        return [swapped(caption, found, others[int(place)]) for place in chosen]

    @cached_property
    def _forms(self) -> dict[str, dict[str, list[tuple[Word, int]]]]:
        """By category: from a written form to the words that it may be, later inflections first."""
        table: dict[str, dict[str, list[tuple[Word, int]]]] = {}
        for category, words in self.words.items():
            forms = table.setdefault(category, {})
            for word in words:
                for form in reversed(range(len(word))):
                    forms.setdefault(word[form], []).append((word, form))
        return table

    @cached_property
    def _patterns(self) -> dict[str, re.Pattern[str]]:
        return {category: _any([*forms, *self.passed]) for category, forms in self._forms.items()}


def swapped(caption: str, found: Found, other: Word) -> str:
    """The caption with another word in the same inflection; ``a`` and ``an`` right before it are mended."""
    new = other[min(found.form, len(other) - 1)]
    before, old, after = caption[: found.start], caption[found.start : found.end], caption[found.end :]
    if old[:1].isupper():
        new = new[:1].upper() + new[1:]
    article = re.search(r"\b(an?)(\s+)$", before, flags=re.IGNORECASE)
    if article:
        mended = article[1][0] + ("n" if takes_an(new) else "")
        before = before[: article.start()] + mended + article[2]
    return before + new + after


def takes_an(word: str) -> bool:
    """Whether the article before a word is ``an``."""
    word = word.lower()
    return word[:1] in tuple("aeiou") and not word.startswith(("uni", "use", "usi", "one", "eu"))


def _any(phrases: Sequence[str]) -> re.Pattern[str]:
    """Any of some phrases as whole words, the longest first; spaces may be wider."""
    longest = sorted(set(phrases), key=lambda phrase: (-len(phrase), phrase))
    choices = "|".join(r"\s+".join(map(re.escape, phrase.split())) for phrase in longest)
    return re.compile(rf"(?<![\w'-])(?:{choices})(?![\w-])(?!'\w)")


def _spaced(phrase: str) -> str:
    return " ".join(phrase.split())


def _words(text: str) -> list[str]:
    """Words and marks; a mark stands alone."""
    return re.findall(r"[\w'-]+|[^\w\s]", text)


def _context(text: str, match: re.Match[str], category: str, form: int) -> Context:
    before, after = _words(text[: match.start()]), _words(text[match.end() :])
    return Context(category, form, _spaced(match[0]), tuple(before), tuple(after))
