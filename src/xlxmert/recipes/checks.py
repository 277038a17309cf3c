"""One finding of ``xlxmert doctor``, and the words that its checks share."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "differs", "note"]


@dataclass(frozen=True)
class Check:
    """What was looked at, and what came of it."""

    what: str
    verdict: Verdict
    """``note``: worth knowing, nothing wrong; or not to be told."""
    found: str
    cause: str = ""
    """The mistake that explains a difference, where one does."""
    move: str = ""
    """What to do next."""


def ok(what: str, found: str) -> Check:
    """All is as it should be."""
    return Check(what, "ok", found)


def note(what: str, found: str, move: str = "") -> Check:
    """Worth knowing."""
    return Check(what, "note", found, move=move)


def differs(what: str, found: str, cause: str = "", move: str = "") -> Check:
    """Not as it should be."""
    return Check(what, "differs", found, cause, move)
