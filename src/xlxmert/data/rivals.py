"""Captions beside their rivals, and captions with a hidden word: what R-precision and HUMMUS ask about pictures.

Every draw is a pure function of the seed and of the caption's place, so that any part can be asked again alone.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from xlxmert.core.errors import UsageError
from xlxmert.core.seeds import numpy_generator
from xlxmert.data.word_lists import Lexicon, Word

EASY = 99
"""Captions of other pictures beside the own one (X-LXMERT, App. E.1)."""
HARD = 9
"""Swapped captions beside the own one."""
MOST_HARD = 1000
"""Captions of a category that are asked about."""
MOST_BLANKS = 100
"""Captions of a category in which a word is hidden (App. E.2)."""

HIDDEN = ("noun", "verb", "colour")
"""Categories of which HUMMUS hides words (Sec. 6.1)."""


@dataclass(frozen=True)
class Choice:
    """Captions among which a picture's own is to be found."""

    place: int
    """The picture."""
    captions: tuple[str, ...]
    """The own one first."""


@dataclass(frozen=True)
class Gap:
    """A caption with a hidden word."""

    place: int
    """The picture."""
    category: str
    before: str
    """The caption up to the word."""
    after: str
    """The caption behind it."""
    written: str
    """The word as the caption has it."""
    word: Word
    """All its inflections."""


def easy_choices(
    captions: Sequence[str], pool: Sequence[tuple[Hashable, str]], owners: Sequence[Hashable], seed: int = 0
) -> list[Choice]:
    """Each caption beside 99 of other pictures, one of each; beside all there are where these are fewer.

    Args:
        captions: one per picture.
        pool: all captions that may be rivals, with whose they are.
        owners: for each of ``captions`` whose it is; its owner's others are no rivals, nor is the same text again.
        seed: of the draws.

    Raises:
        UsageError: there is no caption of another picture.
    """
    by_owner: dict[Hashable, list[str]] = {}
    for owner, text in pool:
        by_owner.setdefault(owner, []).append(text)
    names = list(by_owner)
    rivals = min(EASY, len(names) - 1)
    if rivals < 1:
        raise UsageError(f"expected captions of at least 2 pictures, found those of {len(names)}: add pictures")
    choices = []
    for place, (own, owner) in enumerate(zip(captions, owners, strict=True)):
        rng = numpy_generator("easy rivals", seed, place)
        drawn = (names[int(i)] for i in rng.choice(len(names), min(rivals + 1, len(names)), replace=False))
        others = [by_owner[name] for name in drawn if name != owner][:rivals]
        found = [_unlike(own, texts, int(rng.integers(len(texts)))) for texts in others]
        choices.append(Choice(place, (own, *found)))
    return choices


def hard_choices(
    captions: Sequence[str], lexicon: Lexicon, category: str, seed: int = 0, most: int = MOST_HARD
) -> list[Choice]:
    """Captions with a word of a category, each beside nine in which it is another; fewer where the list is shorter.

    ``most`` captions are drawn among those that have such a word and enough others left; all of them, in their order,
    where there are fewer.

    Raises:
        UsageError: the lists know no such category.
    """
    rivals = min(HARD, len(lexicon.words.get(category, ())) - 1)
    choices = []
    for place in _shuffled(len(captions), "hard rivals", lexicon.name, category, seed):
        swaps = lexicon.swaps(captions[place], category, rivals, seed, place)
        if swaps is not None:
            choices.append(Choice(place, (captions[place], *swaps)))
        if len(choices) == most:
            break
    return sorted(choices, key=lambda choice: choice.place)


def gaps(captions: Sequence[str], lexicon: Lexicon, category: str, seed: int = 0, most: int = MOST_BLANKS) -> list[Gap]:
    """Captions with their first word of a category hidden; ``most`` of them, drawn, or all that have one.

    Raises:
        UsageError: the lists know no such category.
    """
    found = []
    for place in _shuffled(len(captions), "gaps", lexicon.name, category, seed):
        caption, hit = captions[place], lexicon.find(captions[place], category)
        if hit is not None:
            before, after = caption[: hit.start], caption[hit.end :]
            found.append(Gap(place, category, before, after, caption[hit.start : hit.end], hit.word))
        if len(found) == most:
            break
    return sorted(found, key=lambda gap: gap.place)


def _shuffled(count: int, *key: int | str) -> list[int]:
    return [int(place) for place in numpy_generator(*key).permutation(count)]


def _unlike(own: str, texts: Sequence[str], first: int) -> str:
    """One of the texts that differs from the own caption, if any does."""
    turned = [*texts[first:], *texts[:first]]
    return next((text for text in turned if text != own), turned[0])
