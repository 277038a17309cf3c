"""What the verbs that paint share: their options, where their files go, sheets, notes and tables."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from xlxmert.cli.choices import PaintChoices
from xlxmert.cli.common import Common, print_table
from xlxmert.core.axes import UInt8
from xlxmert.core.errors import UsageError
from xlxmert.core.images import contact_sheet
from xlxmert.studio.files import check_free, file_names, save_picture
from xlxmert.studio.options import PaintOptions

SUFFIX = ".png"
ACROSS = 6
"""Pictures in a row of a sheet, unless something else decides."""
Row = dict[str, Any]
"""What is told about one result."""


@dataclass(frozen=True, kw_only=True)
class PaintingOptions(Common):
    """Options of every verb that paints."""

    out: Path = Path(".")
    """A folder, in which files are named by prompt and seed, or a name that ends in .png for a single picture."""
    count: int = 1
    """Pictures per prompt, with seeds seed, seed + 1, …"""
    seed: int = 0
    """The same seed and prompt give the same picture, alone or among others."""
    choices: tyro.conf.OmitArgPrefixes[PaintChoices] = field(default_factory=PaintChoices)
    """How pictures are painted. What is not given is as --quality says."""
    steps_gif: bool = False
    """Also write a GIF of every step."""
    sheet: bool = False
    """Also write sheet.png with all pictures side by side."""
    show: bool = False
    """Show the pictures in the terminal."""
    overwrite: bool = False
    """Replace files that xlxmert did not paint."""

    @property
    def seeds(self) -> list[int]:
        """The seeds of a prompt's pictures.

        Raises:
            UsageError: fewer than 1 picture is asked for.
        """
        if self.count < 1:
            raise UsageError(f"expected a --count of at least 1, found {self.count}")
        return [self.seed + extra for extra in range(self.count)]

    def how(self) -> PaintOptions:
        """The choices of painting, checked before anything is opened.

        Raises:
            UsageError: a choice is out of range, or the choices contradict each other.
        """
        return self.choices.options()

    def places(self, wanted: Sequence[tuple[str, int]]) -> list[Path]:
        """Where the picture of each name and seed goes; whatever is in the way is told before anything is painted.

        Raises:
            UsageError: ``--out`` cannot hold the pictures, or a stranger's file is in the way.
        """
        if self.out.suffix.lower() == SUFFIX:
            if len(wanted) > 1:
                raise UsageError(f"expected a folder for {len(wanted)} pictures, found --out {self.out}: name a folder")
            paths = [self.out]
        elif self.out.exists() and not self.out.is_dir():
            raise UsageError(f"expected a folder or a .png file, found --out {self.out}, a file: choose another name")
        else:
            paths = [self.out / f"{name}{SUFFIX}" for name in file_names(wanted)]
        for path in paths:
            check_free(path, self.overwrite)
        return paths


def save_sheet(
    folder: Path,
    pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    texts: Sequence[str],
    width: int,
    overwrite: bool,
) -> str:
    """Pictures side by side as ``sheet.png``, so many in a row; gives the file's name."""
    rows = [slice(start, start + width) for start in range(0, len(pictures), width)]
    path = folder / "sheet.png"
    save_picture(path, contact_sheet([pictures[row] for row in rows], [texts[row] for row in rows]), overwrite)
    return str(path)


def tell_notes(rows: Sequence[Mapping[str, Any]]) -> None:
    """Say each note once, on standard error."""
    for note in dict.fromkeys(note for row in rows for note in row["notes"]):
        print(f"note: {note}", file=sys.stderr)


def print_done(columns: Sequence[str], rows: Sequence[Mapping[str, Any]], sheet: str | None) -> None:
    """The last column alone for one result, a table for more; then the sheet."""
    if len(rows) == 1:
        print(rows[0][columns[-1]])
    else:
        print_table(columns, [[str(row[column]) for column in columns] for row in rows])
    if sheet:
        print(sheet)
