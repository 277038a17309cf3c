"""Files that outgrow memory, read a line or an entry at a time, plain or gzip: for the formats beside it (floor 2).

Whether a file is compressed is read off its first bytes, not off its name.
"""

import contextlib
import gzip
import io
import itertools
import json
import zlib
from collections.abc import Iterator
from pathlib import Path

from xlxmert.core.errors import XlxmertError
from xlxmert.data.entries import Entry, as_entry, brief

CHUNK = 2**20
"""Characters that are read at a time."""
MOST = 2**26
"""Most characters of a line or an entry; more means that the file is something else."""
NEAR = 16
"""Characters before the end of what was read within which JSON may only seem wrong, as ``tru`` of ``true`` does."""
GZIP = b"\x1f\x8b"


@contextlib.contextmanager
def text_stream(source: Path, what: str) -> Iterator[io.TextIOWrapper]:
    """A file opened as UTF-8 text, unpacked where it is gzip; lines end in ``\\n``.

    Args:
        source: the file.
        what: what the caller expects in it, for messages.

    Raises:
        XlxmertError: the file is missing, unreadable or no text, or its gzip is damaged or ends early; also from within
            the block.
    """
    source = Path(source)
    try:
        with source.open("rb") as raw, contextlib.ExitStack() as stack:
            packed = raw.peek(2)[:2] == GZIP
            plain = stack.enter_context(gzip.GzipFile(fileobj=raw)) if packed else raw
            yield stack.enter_context(io.TextIOWrapper(plain, encoding="utf-8-sig", newline="\n"))
    except FileNotFoundError as error:
        raise XlxmertError(f"expected {what} at {source}, found nothing: check the path") from error
    except EOFError as error:
        raise XlxmertError(
            f"expected {what} in {source}, found a gzip file that ends early: "
            "the download stopped before its end; download it again"
        ) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise XlxmertError(
            f"expected {what} in {source}, found a damaged gzip file ({error}): download it again"
        ) from error
    except UnicodeDecodeError as error:
        raise XlxmertError(
            f"expected {what} in {source}, found bytes that are not UTF-8 text: take the file as it is published"
        ) from error
    except OSError as error:
        raise XlxmertError(f"could not read {source}: {error}") from error


def text_lines(source: Path, what: str) -> Iterator[tuple[int, str]]:
    """The lines of a file, counted from 1, without their ends; empty ones are passed over.

    Raises:
        XlxmertError: see `text_stream`; or a line never ends.
    """
    with text_stream(source, what) as stream:
        number = 0
        while line := stream.readline(MOST):
            number += 1
            if len(line) >= MOST:
                raise XlxmertError(
                    f"expected {what} in {source}, found line {number} with {MOST} characters or more: "
                    "the file is something else"
                )
            if line.strip():
                yield number, line.rstrip("\r\n")


def line_entry(source: Path, number: int) -> Entry:
    """An entry without members that knows the place of a line, for its errors."""
    return Entry({}, source, f"line {number}")


def stream_list(source: Path) -> Iterator[Entry]:
    """The entries of a file that holds one JSON list of objects, of which one at a time is in memory.

    Raises:
        XlxmertError: see `text_stream`; or the file holds something else, or is cut short.
    """
    with text_stream(source, "a JSON list") as stream:
        window = _Window(stream, source)
        if (first := window.peek()) != "[":
            found = f"{first!r} at its beginning" if first else "nothing"
            raise XlxmertError(
                f"expected a list at the top of {source}, found {found}: check that the file is in the published format"
            )
        window.skip()
        for index in itertools.count():
            if not index and window.peek() == "]":
                break
            yield as_entry(window.value(index), source, f"[{index}]")
            following = window.peek()
            if following == "]":
                break
            if following != ",":
                raise window.damaged(index + 1, f"{following!r} where a comma should be" if following else "")
            window.skip()
        window.skip()
        if rest := window.peek():
            raise XlxmertError(
                f"expected one list in {source}, found {rest!r} after its end: write or download it again"
            )


class _Window:
    """The part of a JSON file that is in memory."""

    def __init__(self, stream: io.TextIOWrapper, source: Path) -> None:
        self.stream, self.source = stream, source
        self.text, self.place = "", 0
        self.decoder = json.JSONDecoder()

    def more(self) -> bool:
        """Drop what was passed and read on: as much again as is there, so that long entries cost no more than short."""
        self.text = self.text[self.place :]
        self.place = 0
        more = self.stream.read(max(CHUNK, len(self.text)))
        self.text += more
        return bool(more)

    def peek(self) -> str:
        """The next character that is no space; empty at the end."""
        while True:
            while self.place < len(self.text):
                if self.text[self.place] not in " \t\r\n":
                    return self.text[self.place]
                self.place += 1
            if not self.more():
                return ""

    def skip(self) -> None:
        """Pass the character that `peek` gave."""
        self.place += 1

    def value(self, index: int) -> object:
        """The next value, which is whole when something follows it."""
        self.peek()
        while True:
            try:
                value, end = self.decoder.raw_decode(self.text, self.place)
            except json.JSONDecodeError as error:
                inside = error.pos < len(self.text) - NEAR and not error.msg.startswith("Unterminated")
                if inside or len(self.text) - self.place > MOST or not self.more():
                    raise self.damaged(index, error.msg if inside else "") from error
            except (ValueError, RecursionError) as error:
                raise self.damaged(index, brief(str(error))) from error
            else:
                if end < len(self.text):
                    self.place = end
                    return value
                if not self.more():
                    self.place = len(self.text)
                    return value

    def damaged(self, index: int, found: str) -> XlxmertError:
        """The error of an entry that is no JSON."""
        return XlxmertError(
            f"expected JSON at [{index}] of {self.source}, found {found or 'the end of the file'}: "
            "the file may have been cut short; write or download it again"
        )
