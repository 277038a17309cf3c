"""Tables of pictures with captions, as the ``datasets`` library keeps them: saved folders, parquet, arrow, hub names.

One column holds pictures (an Image feature, or the bytes of files), one a caption or a list of them. Rows are mapped or
streamed, never all in memory, and pictures come as the bytes that they were stored as. Needs the extra ``datasets``.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.data.entries import brief
from xlxmert.data.pictures import SUFFIXES
from xlxmert.data.shards import Sample

ARROW, PARQUET = ".arrow", ".parquet"
MARKS = (
    (b"\x89PNG", ".png"),
    (b"GIF8", ".gif"),
    (b"BM", ".bmp"),
    (b"RIFF", ".webp"),
    (b"II*", ".tif"),
    (b"MM", ".tif"),
)
"""How files of pictures begin; what begins otherwise is called a JPEG, and found out when it is read."""


@dataclass(frozen=True)
class Columns:
    """Where in a table pictures and captions are."""

    image: str = "image"
    """The column of pictures."""
    caption: str = "caption"
    """The column of captions: texts, or lists of them."""
    split: str | None = None
    """Which of several splits; None is the only one, or ``train``."""


@dataclass(frozen=True)
class Table:
    """A table that is open."""

    source: str
    """Its folder, file or name."""
    columns: Columns
    rows: Any
    """A ``Dataset`` or ``IterableDataset`` whose pictures are not decoded."""

    @property
    def name(self) -> str:
        """What its pictures' folders are called."""
        return Path(self.source).name.split(".")[0] or "table"

    def samples(self, start: int = 0, stop: int | None = None) -> Iterator[Sample]:
        """The rows from one to another, counted from 0.

        Raises:
            XlxmertError: a row is damaged, or its columns hold something else.
        """
        with _told(self.source):
            for number, row in enumerate(
                islice(_after(self.rows, start), None if stop is None else stop - start), start
            ):
                yield self._sample(number, row)

    def _sample(self, number: int, row: dict[str, Any]) -> Sample:
        content, suffix = _picture(row.get(self.columns.image))
        captions = row.get(self.columns.caption)
        texts = captions if isinstance(captions, list) else [] if captions is None else [captions]
        if not all(isinstance(text, str) for text in texts):
            raise self._wrong("captions as texts or lists of them", f"{brief(captions)} in row {number}", "caption")
        if content is None:
            found = f"{brief(row.get(self.columns.image))} in row {number}"
            raise self._wrong("pictures as an Image feature or as the bytes of files", found, "image")
        told = tuple(text.strip() for text in texts if text.strip())
        return Sample(f"{number:08d}", suffix if content else "", content, told)

    def _wrong(self, expected: str, found: str, column: str) -> XlxmertError:
        name = getattr(self.columns, column)
        return XlxmertError(
            f"expected {expected} in column '{name}' of {self.source}, found {found}: name another with "
            f"--{column}-column, or mend the row"
        )


def open_table(source: str, columns: Columns = Columns()) -> Table:
    """Open a table without reading its rows.

    Args:
        source: a folder that ``save_to_disk`` wrote or that holds parquet files, a ``.parquet`` or ``.arrow`` file, or
            a name on the Hugging Face hub.
        columns: where pictures and captions are.

    Raises:
        XlxmertError: the extra is not installed, there is no such table, it is damaged, or lacks a column.
        UsageError: it has no such split.
    """
    datasets = _datasets()
    with _told(source):
        rows = _opened(datasets, source, columns.split)
        found = list(rows.features or next(iter(rows), {}))
        for option in ("image", "caption"):
            if getattr(columns, option) not in found:
                raise UsageError(
                    f"expected a column '{getattr(columns, option)}' in {source}, found {', '.join(found) or 'none'}: "
                    f"pass --{option}-column with one of them"
                )
        if isinstance((rows.features or {}).get(columns.image), datasets.Image):
            rows = rows.cast_column(columns.image, datasets.Image(decode=False))
        return Table(source, columns, rows.select_columns([columns.image, columns.caption]))


def _datasets() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise XlxmertError(
            "reading tables needs the datasets library: install the extra, pip install 'xlxmert[datasets]'"
        ) from error
    datasets.disable_progress_bars()
    return datasets


@contextlib.contextmanager
def _told(source: str) -> Iterator[None]:
    """Whatever the library finds wrong becomes one line."""
    try:
        yield
    except XlxmertError:
        raise
    except Exception as error:  # the library and those below it raise many types
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise XlxmertError(
            f"expected a table in {source}, found one that cannot be read ({reason}): check the path, or the name and "
            "the network; a file that was cut short has to be downloaded again"
        ) from error


def _opened(datasets: Any, source: str, split: str | None) -> Any:
    """The rows of a table, mapped or streamed."""
    path = Path(source).expanduser()
    if path.is_dir():
        files = sorted(path.rglob(f"*{PARQUET}"))
        if not files:
            return _chosen(datasets.load_from_disk(str(path)), source, split)
    elif path.is_file() and path.suffix == ARROW:
        return datasets.Dataset.from_file(str(path))
    else:
        files = [path] if path.suffix == PARQUET else []
    if files:
        named = [str(file) for file in files if split is None or len(files) == 1 or file.name.startswith(split)]
        if not named:
            raise UsageError(f"expected files of the split {split} in {source}, found {files[0].name} and others")
        return datasets.load_dataset("parquet", data_files=named, split="train", streaming=True)
    return _chosen(datasets.load_dataset(source, streaming=True), source, split)


def _chosen(found: Any, source: str, split: str | None) -> Any:
    """One split of a table that may have several."""
    if not isinstance(found, dict):
        return found
    chosen = split or ("train" if "train" in found or len(found) > 1 else next(iter(found), ""))
    if chosen not in found:
        raise UsageError(f"expected the split {chosen} in {source}, found {', '.join(found)}: pass --table-split")
    return found[chosen]


def _after(rows: Any, start: int) -> Any:
    """The rows from one on."""
    if hasattr(rows, "__len__") and start >= len(rows):
        return ()
    return rows.skip(start) if start else rows


def _picture(value: Any) -> tuple[bytes | None, str]:
    """The bytes and the suffix of a picture, no bytes where there are none; None for what is no picture's cell."""
    path = ""
    if isinstance(value, dict) and set(value) >= {"bytes", "path"}:
        value, path = value["bytes"], value["path"] or ""
        if value is None and path:
            with contextlib.suppress(OSError):  # it then counts as missing
                value = Path(path).read_bytes()
    if value is None:
        return b"", ""
    if not isinstance(value, bytes):
        return None, ""
    suffix = Path(path).suffix.lower()
    return value, suffix if suffix in SUFFIXES else _suffix(value)


def _suffix(content: bytes) -> str:
    return next((suffix for mark, suffix in MARKS if content.startswith(mark)), ".jpg")
