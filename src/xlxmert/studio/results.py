"""What a studio hands out: frozen results that a terminal, a file or a web page shows."""

from dataclasses import dataclass

import numpy as np

from xlxmert.core.axes import Int, UInt8
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


@dataclass(frozen=True)
class Frame:
    """A picture while it is being painted."""

    step: Step
    """The sampler's step: codes, what is hidden and what changed, each of batch size 1."""
    picture: UInt8[np.ndarray, "S S 3"]
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
