"""What a studio hands out: frozen results that a terminal, a file or a web page shows."""

from dataclasses import dataclass

import numpy as np

from xlxmert.core.axes import Bool, Float, Int, UInt8
from xlxmert.core.errors import UsageError
from xlxmert.sampling import Step


@dataclass(frozen=True)
class Painting:
    """A painted picture and what it was painted from."""

    picture: UInt8[np.ndarray, "S S 3"]
    """RGB pixels."""
    codes: Int[np.ndarray, " N"]
    """The visual codes, row-major."""
    seed: int
    """What all its draws depend on."""
    prompt: str
    """The words; empty when it was rebuilt from a picture."""
    notes: tuple[str, ...] = ()
    """What the user should know about the prompt, such as words that the model never saw."""
    score: float | None = None
    """How well it fits its prompt, in log-odds, where it was chosen as the best of several drafts."""


@dataclass(frozen=True)
class Edited:
    """A picture of which a part was painted anew, or beside which more was painted."""

    picture: UInt8[np.ndarray, "height width 3"]
    """RGB pixels."""
    codes: Int[np.ndarray, "rows columns"]
    """The visual codes of all its cells."""
    before: Int[np.ndarray, "rows columns"]
    """The codes before; 0 where there was no picture."""
    unknown: Bool[np.ndarray, "rows columns"]
    """The cells that were painted; everywhere else the codes are those before."""
    prompt: str
    """The sentence, its blanks filled; empty without one."""
    seed: int
    """What all its draws depend on."""
    notes: tuple[str, ...] = ()
    """What the user should know about the sentence, such as words that the model never saw."""
    score: float | None = None
    """How well it fits its sentence, in log-odds, where it was chosen as the best of several drafts.

    Of an extension it is the last window's."""


@dataclass(frozen=True)
class Frame:
    """A picture while it is being painted."""

    step: Step
    """The sampler's step: codes, what is hidden and what changed, each of batch size 1."""
    picture: UInt8[np.ndarray, "height width 3"]
    """RGB pixels; cells still hidden show the latest guess."""


@dataclass(frozen=True)
class Caption:
    """A sentence about a picture."""

    text: str
    score: float
    """Mean log-probability per token given all others (nats, at most 0)."""


@dataclass(frozen=True)
class Answer:
    """An answer to a question about a picture."""

    text: str
    confidence: float
    """Its probability among all answers that the model knows, in [0, 1]."""


@dataclass(frozen=True)
class Hit:
    """One find of a search."""

    place: int
    """Which of the pictures or sentences that were searched."""
    confidence: float
    """The probability, in [0, 1], that it belongs to what was asked for."""


@dataclass(frozen=True)
class Retrieval:
    """What belongs to what among some pictures and sentences, best first."""

    odds: Float[np.ndarray, "B S"]
    """The logarithm of the odds that each picture (row) and sentence (column) belong together."""
    pictures: tuple[tuple[Hit, ...], ...]
    """For each sentence the pictures that fit it best."""
    sentences: tuple[tuple[Hit, ...], ...]
    """For each picture the sentences that fit it best."""


def ranked(odds: Float[np.ndarray, "B S"], top: int) -> Retrieval:
    """The ``top`` finds both ways; of equal ones the first in the list comes first.

    Raises:
        UsageError: fewer than 1 is asked for.
    """
    if top < 1:
        raise UsageError(f"expected to give at least 1 find, found {top}: ask for 1 or more")
    return Retrieval(odds, tuple(_hits(column, top) for column in odds.T), tuple(_hits(row, top) for row in odds))


def _hits(odds: Float[np.ndarray, " C"], top: int) -> tuple[Hit, ...]:
    """The highest of some candidates."""
    best = np.argsort(-odds, kind="stable")[:top]
    return tuple(Hit(int(place), float(1 + np.tanh(odds[place] / 2)) / 2) for place in best)
