"""Rows of a table: trained once per seed, measured, kept as JSON, and shown beside the paper's numbers."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from xlxmert.core.files import read_json, write_json

Scores = Mapping[str, float]
Measure = Callable[[Path, int], Scores]
"""From a folder of its own and a seed to the scores of a row."""


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    name: str
    """As the paper calls it."""
    measure: Measure
    paper: Mapping[str, str] = field(default_factory=dict)
    """The paper's own numbers by column."""
    title: str = ""
    """What it is called in this table, where several tables share the row; its name by default."""

    @property
    def shown(self) -> str:
        """What a reader sees."""
        return self.title or self.name


@dataclass(frozen=True)
class Column:
    """One score of the rows."""

    title: str
    score: str
    """Its name among the row's scores."""
    share: bool = True
    """A share in [0, 1], shown in per cent; else shown as it is, in units of ``unit``."""
    unit: float = 1.0


def measured(out: Path, rows: Sequence[Row], seeds: Sequence[int], log: Callable[[str], None] = print) -> list[Scores]:
    """The mean scores of every row over the seeds, with ``<score>/deviation`` beside where there are several.

    What was measured by an earlier call is read from ``out/<row>/<seed>/scores.json``.
    """
    return [_mean([_measured(out, row, seed, log) for seed in seeds]) for row in rows]


def _measured(out: Path, row: Row, seed: int, log: Callable[[str], None]) -> Scores:
    folder = out / file_name(row.name) / str(seed)
    path = folder / "scores.json"
    if not path.exists():
        begun = time.monotonic()
        log(f"{row.name}, seed {seed}")
        scores = dict(row.measure(folder, seed))
        write_json(path, {**scores, "seconds": round(time.monotonic() - begun, 1)})
    found: Scores = read_json(path)
    return found


def file_name(name: str) -> str:
    """A row's name as a folder's: lower case letters, digits and dashes."""
    kept = "".join(letter if letter.isalnum() else " " for letter in name.lower())
    return "-".join(kept.split())


def _mean(found: Sequence[Scores]) -> Scores:
    names = [name for name in found[0] if all(name in each for each in found)]
    means = {name: statistics.fmean(each[name] for each in found) for name in names}
    if len(found) > 1:
        means |= {f"{name}/deviation": statistics.stdev(each[name] for each in found) for name in names}
    return means


def table(rows: Sequence[Row], scores: Sequence[Scores], columns: Sequence[Column], paper: Sequence[str] = ()) -> str:
    """A Markdown table: our columns, then the paper's."""
    heads = [*(column.title for column in columns), *(f"paper: {title}" for title in paper)]
    lines = [f"| | {' | '.join(heads)} |", "|---|" + "---:|" * len(heads)]
    for row, found in zip(rows, scores, strict=True):
        cells = [_shown(found, column) for column in columns] + [row.paper.get(title, "") for title in paper]
        lines.append(f"| {row.shown} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _shown(found: Scores, column: Column) -> str:
    if column.score not in found:
        return "—"
    scale, unit = (100, " %") if column.share else (1 / column.unit, "")
    spread = found.get(f"{column.score}/deviation")
    beside = "" if spread is None else f" ± {scale * spread:.1f}"
    return f"{scale * found[column.score]:.1f}{beside}{unit}"
