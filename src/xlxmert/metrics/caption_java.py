"""METEOR and SPICE of captions, as COCO's evaluation has them: Java programs inside the package pycocoevalcap.

METEOR (Denkowski and Lavie 2014) comes whole with the package. SPICE (Anderson et al. 2016) downloads Stanford's parser
when it first runs.
"""

import contextlib
import importlib
import shutil
import sys
from collections.abc import Sequence
from typing import Any, Literal

from xlxmert.core.errors import UsageError, XlxmertError

Tokens = Sequence[str]
JavaScore = Literal["METEOR", "SPICE"]
"""Scores that need Java."""
_PLACES = {"METEOR": ("meteor.meteor", "Meteor"), "SPICE": ("spice.spice", "Spice")}


def java_scores(
    candidates: Sequence[Tokens], references: Sequence[Sequence[Tokens]], names: Sequence[JavaScore]
) -> dict[str, float]:
    """The named scores of tokenised captions over all pictures, in [0, 1].

    Raises:
        UsageError: numbers of candidates and references differ, or there are none.
        XlxmertError: Java or the package is not there, or the program ends before it has scored all.
    """
    if not candidates or len(candidates) != len(references):
        raise UsageError(
            f"expected one candidate and a list of references per picture, found {len(candidates)} candidates and "
            f"{len(references)} lists: pair them picture by picture"
        )
    mine = {place: [" ".join(tokens)] for place, tokens in enumerate(candidates)}
    theirs = {place: [" ".join(tokens) for tokens in group] for place, group in enumerate(references)}
    return {name: _score(name, theirs, mine) for name in names}


def _score(name: JavaScore, references: dict[int, list[str]], candidates: dict[int, list[str]]) -> float:
    module = need_java(name)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # it talks while it downloads
            scorer = getattr(module, _PLACES[name][1])()
            return float(scorer.compute_score(references, candidates)[0])
    except Exception as error:  # the programs fail in many ways: no memory, no download, a broken pipe
        text = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        move = "go online once" if name == "SPICE" else "run java -version, and free 2 GB of memory"
        raise XlxmertError(f"{name} did not come to its end ({text}): {move}, or leave it out") from error


def need_java(name: JavaScore) -> Any:
    """The package's module for a score: asked for early, it says in time what is missing.

    Raises:
        XlxmertError: Java or the package is not there.
    """
    if shutil.which("java") is None:
        raise XlxmertError(f"expected Java for {name}, found no program 'java': install it, or leave {name} out")
    try:
        return importlib.import_module(f"pycocoevalcap.{_PLACES[name][0]}")
    except ImportError as error:
        raise XlxmertError(
            f"expected the package pycocoevalcap for {name}, found none: pip install pycocoevalcap, or leave {name} out"
        ) from error
