"""What several verbs share: common options, reading pictures and folders, and printing."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from xlxmert.core.axes import UInt8
from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.images import load_picture
from xlxmert.data.pictures import list_pictures
from xlxmert.studio import Studio

CHUNK = 8
"""Pictures that are read and looked at together."""
PIPED = 160
"""Columns of a table that goes into a pipe or a file."""


@dataclass(frozen=True, kw_only=True)
class Common:
    """Options of every verb that uses a checkpoint."""

    checkpoint: str | None = None
    """A checkpoint's folder or its name on the Hugging Face hub; by default the bundled one."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute; auto takes an accelerator if there is one."""
    json: bool = False
    """Print JSON instead of a table."""

    def studio(self) -> Studio:
        """The studio that these options ask for."""
        return Studio.from_pretrained(self.checkpoint, self.device)


@dataclass
class PictureFiles:
    """Pictures from files and folders, read some at a time; bad ones are noted and passed over.

    Args:
        paths: the files, those in folders included.
        size: side in pixels.
    """

    paths: Sequence[Path]
    size: int

    def __post_init__(self) -> None:
        """Nothing has failed yet."""
        self.failures: list[str] = []

    @property
    def rounds(self) -> int:
        """How many chunks there are, if all can be read."""
        return -(-len(self.paths) // CHUNK)

    def chunks(self) -> Iterator[tuple[list[Path], list[UInt8[np.ndarray, "S S 3"]]]]:
        """Names and pixels of the pictures that can be read."""
        for start in range(0, len(self.paths), CHUNK):
            good = list(self._readable(self.paths[start : start + CHUNK]))
            if good:
                yield [path for path, _ in good], [pixels for _, pixels in good]

    def report(self) -> int:
        """Name the pictures that could not be read on standard error; the exit code is 1 if there are any."""
        for failure in self.failures:
            print(f"error: {failure}", file=sys.stderr)
        if len(self.failures) > 1 or (self.failures and len(self.paths) > 1):
            print(f"error: {len(self.failures)} of {len(self.paths)} pictures could not be read", file=sys.stderr)
        return 1 if self.failures else 0

    def _readable(self, paths: Iterable[Path]) -> Iterator[tuple[Path, UInt8[np.ndarray, "S S 3"]]]:
        for path in paths:
            try:
                yield path, load_picture(path, self.size)
            except XlxmertError as error:
                self.failures.append(str(error))


def listed(paths: Iterable[Path]) -> list[Path]:
    """Picture files, and all those in the folders among them.

    Raises:
        UsageError: no path is given.
        XlxmertError: a folder holds no picture.
    """
    files: list[Path] = []
    for path in paths:
        files += list_pictures(path) if path.is_dir() else [path]
    if not files:
        raise UsageError("expected pictures or folders of pictures, found none: name at least one")
    return files


def progress(items: Iterable[Any], total: int, what: str) -> Iterator[Any]:
    """The items, with a progress bar on standard error when there are many and somebody watches."""
    if total < 2 or not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        for item in items:
            yield item
            bar.advance(task)


def print_json(content: Any) -> None:
    """Print JSON on standard output."""
    print(json.dumps(content, indent=2, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str | None = None) -> None:
    """Print a table; texts are taken as they are, not as markup."""
    from rich import box
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    heads = [Column(Text(column), overflow="fold") for column in columns]
    table = Table(*heads, title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console = Console()
    (console if console.is_terminal else Console(width=PIPED)).print(table)


def print_picture(picture: UInt8[np.ndarray, "height width 3"], columns: int = 48) -> None:
    """Show a picture in the terminal: each character is two pixels, one above the other."""
    from PIL import Image
    from rich.color import Color
    from rich.console import Console
    from rich.segment import Segment, Segments
    from rich.style import Style

    console = Console()
    columns = min(columns, console.width)
    rows = max(1, columns * picture.shape[0] // picture.shape[1] // 2) * 2
    small = np.asarray(Image.fromarray(picture).resize((columns, rows), Image.Resampling.BOX))
    lines: list[Segment] = []
    for upper, lower in zip(small[::2], small[1::2], strict=True):
        for above, below in zip(upper.tolist(), lower.tolist(), strict=True):
            lines.append(Segment("▀", Style(color=Color.from_rgb(*above), bgcolor=Color.from_rgb(*below))))
        lines.append(Segment.line())
    console.print(Segments(lines), end="")
