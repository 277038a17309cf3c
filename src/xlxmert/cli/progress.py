"""The progress bar of the long verbs: on the error stream, so that what a verb reports can be piped."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import rich.console
import rich.progress

from xlxmert.core.processes import is_main

SHOWN = 10
"""Unreadable files that are named before the rest is only counted."""


@contextlib.contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A bar with the time left, as a function that is told what is done and what there is to do."""
    columns = (
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TimeRemainingColumn(),
    )
    console = rich.console.Console(stderr=True)
    with rich.progress.Progress(
        *columns, console=console, disable=not (console.is_terminal and is_main()), transient=True
    ) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def print_facts(facts: Mapping[str, Any]) -> None:
    """Print names and values in two columns."""
    width = max(map(len, facts), default=0)
    for name, value in facts.items():
        print(f"{name:<{width}}  {value}")


def print_unreadable(unreadable: Mapping[Path, str]) -> None:
    """Say on the error stream which pictures were passed over, and why."""
    console = rich.console.Console(stderr=True, soft_wrap=True, highlight=False)
    for reason in list(unreadable.values())[:SHOWN]:
        console.print(f"passed over: {reason}", markup=False)
    if len(unreadable) > SHOWN:
        console.print(f"passed over: {len(unreadable) - SHOWN} more pictures", markup=False)


def print_left_out(samples: Mapping[str, str]) -> None:
    """Say on the error stream which samples of shards or tables were passed over, and why."""
    print_unreadable({Path(name): f"{name} has {lacks}" for name, lacks in samples.items()})


def print_same(same: Sequence[Sequence[Path]]) -> None:
    """Say on the error stream which files show the very same pixels."""
    console = rich.console.Console(stderr=True, soft_wrap=True, highlight=False)
    for files in same[:SHOWN]:
        console.print(f"the same picture: {', '.join(map(str, files))}", markup=False)
    if len(same) > SHOWN:
        console.print(f"the same picture: {len(same) - SHOWN} more times", markup=False)
