"""From lines of any source to the store's sentences, read as often as needed and never all in memory.

A first reading (`survey`) finds which pictures there are and which answers, a second one (`sentences`) gives what is
written; where words are to be learned, one more comes before. A caption held as an object takes 350 bytes, a question
540: nine million of them are more than the model.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from xlxmert.data.store import Sentence
from xlxmert.data.tokenizer import Tokenizer

TOGETHER = 10_000
"""Lines whose lengths are found together."""
Picture = Path | str
"""A picture's file, or the name under which others published what they saw in it."""


@dataclass(frozen=True, slots=True)
class Line:
    """One sentence, before it is turned into tokens."""

    text: str
    picture: Picture
    """The picture's file or name."""
    kind: str
    """``caption``, ``question``, ``region`` or ``statement``."""
    answers: Mapping[str, float] = field(default_factory=dict)
    """Soft scores by answer."""
    second: Picture | None = None
    """A statement's right picture."""
    truth: bool | None = None
    """Whether a statement holds."""
    source: str = ""
    """The data set, where sentences are counted by it."""

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """Its picture, or its two."""
        return (self.picture,) if self.second is None else (self.picture, self.second)


@dataclass
class Survey:
    """What a first reading finds."""

    pictures: dict[Picture, None] = field(default_factory=dict)
    """Those of which a sentence is kept, in the order in which they are first spoken of."""
    answers: Counter[str] = field(default_factory=Counter)
    """How many of the kept sentences have each."""
    kept: int = 0
    """Sentences that hold a word and are not too long."""
    empty: int = 0
    """Sentences that hold no word."""
    too_long: int = 0
    """Sentences of more tokens than are allowed."""

    def add(self, line: Line) -> None:
        """A sentence that is kept."""
        self.kept += 1
        self.pictures.update(dict.fromkeys(line.pictures))
        self.answers.update(line.answers.keys())


def survey(lines: Iterable[Line], tokenizer: Tokenizer, longest: int | None) -> Survey:
    """The first reading.

    Args:
        lines: all of them.
        tokenizer: tells their lengths.
        longest: most tokens of a sentence that is kept; None keeps all.
    """
    found = Survey()
    for line, length in _measured(lines, tokenizer):
        if not length:
            found.empty += 1
        elif length > (longest or length):
            found.too_long += 1
        else:
            found.add(line)
    return found


def sentences(
    lines: Iterable[Line],
    tokenizer: Tokenizer,
    longest: int | None,
    places: Mapping[Picture, int],
    counts: Counter[str] | None = None,
) -> Iterator[Sentence]:
    """The second reading: what the store takes.

    Args:
        lines: as for `survey`.
        tokenizer: as for `survey`.
        longest: as for `survey`.
        places: the pictures' rows in the store; lines of others are left out.
        counts: told of every sentence that is given, by `Line.source`.
    """
    for line, length in _measured(lines, tokenizer):
        if 0 < length <= (longest or length) and all(picture in places for picture in line.pictures):
            if counts is not None:
                counts[line.source] += 1
            second = None if line.second is None else places[line.second]
            yield Sentence(line.text, places[line.picture], line.kind, line.answers, second, line.truth)


def _measured(lines: Iterable[Line], tokenizer: Tokenizer) -> Iterator[tuple[Line, int]]:
    """Each line with its length in tokens."""
    stream = iter(lines)
    while some := list(islice(stream, TOGETHER)):
        yield from zip(some, tokenizer.lengths([line.text for line in some]), strict=True)
