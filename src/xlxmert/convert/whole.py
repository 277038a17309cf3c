"""Folders that are either whole or not there: written beside their place, and put there when they are complete."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from xlxmert.core.errors import XlxmertError


@contextlib.contextmanager
def whole_folder(folder: Path, what: str, replaceable: Callable[[Path], bool]) -> Iterator[Path]:
    """Yield a folder that nobody reads yet; it takes the place of ``folder`` when the block ends without an error.

    Args:
        folder: where to.
        what: the kind of folder, such as ``a checkpoint``, for the messages.
        replaceable: whether the content of a folder may be replaced; anything else there is left alone.

    Raises:
        XlxmertError: something else is there, or the disk is full; what was there is as it was.
    """
    if folder.exists() and not (folder.is_dir() and (not any(folder.iterdir()) or replaceable(folder))):
        raise XlxmertError(
            f"expected {what}, an empty folder or nothing at {folder}, found other files: choose another folder"
        )
    part = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.part")
    try:
        yield part
        _swap(part, folder)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise XlxmertError(
            f"could not write {what} to {folder}: {reason}; what was there is unharmed: choose another folder"
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _swap(part: Path, folder: Path) -> None:
    """Put the finished folder in the place of the earlier one."""
    old = part.with_suffix(".old")
    if folder.exists():
        folder.rename(old)
    try:
        part.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
