"""A recipe as a program of its own: ``python -m xlxmert.recipes.NAME``."""

from collections.abc import Callable
from typing import Any

from xlxmert.core.errors import XlxmertError


def run_alone(recipe: Callable[..., Any]) -> None:
    """Run a function with the command line for its parameters; what goes wrong is one line and leaves with 1.

    Raises:
        SystemExit: the recipe failed, or the command line was not understood.
    """
    import tyro

    try:
        tyro.cli(recipe)
    except XlxmertError as error:
        raise SystemExit(f"error: {error}") from error
