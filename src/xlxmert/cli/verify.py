"""``xlxmert verify``: whether statements about two pictures hold."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from xlxmert.cli.common import Common, print_json, print_table
from xlxmert.core.errors import UsageError

TRUE = 0.5
"""From this probability on a statement is said to hold."""


@dataclass(frozen=True, kw_only=True)
class Options(Common):
    """Say whether statements hold of a left and a right picture.

    xlxmert verify one.jpg two.jpg "both pictures contain a dog" --checkpoint runs/nlvr2/checkpoint
    """

    left: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="LEFT")]
    """The left picture's file."""
    right: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RIGHT")]
    """The right picture's file."""
    statements: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="STATEMENT")]
    """What may be true of both, each statement in quotes."""


def run(options: Options) -> int:
    """Judge every statement."""
    if not options.statements:
        raise UsageError("expected a statement about the two pictures, found none: write it after them, in quotes")
    chances = options.studio().verify(options.left, options.right, options.statements).tolist()
    judged = [(text, chance >= TRUE, chance) for text, chance in zip(options.statements, chances, strict=True)]
    if options.json:
        rows = [{"statement": text, "holds": holds, "probability": round(chance, 4)} for text, holds, chance in judged]
        print_json({"left": str(options.left), "right": str(options.right), "statements": rows})
    else:
        print_table(
            ("statement", "holds", "probability"),
            [(text, "yes" if holds else "no", f"{chance:.3f}") for text, holds, chance in judged],
        )
    return 0
