"""Ctrl-C and SIGTERM as a wish to stop after the present step; the second Ctrl-C stops at once."""

import os
import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)
ECHO = 2.0
"""Seconds in which a launcher may pass the same Ctrl-C on to processes that heard it already."""


class StopWish:
    """While it is entered (in the main thread), signals set ``asked`` to their name instead of breaking off."""

    def __init__(self, quiet: bool, launched: bool = False) -> None:
        """Hear nothing yet; ``quiet`` answers a signal without a word; a launcher may repeat it (``launched``)."""
        self.asked = ""
        self._quiet, self._launched, self._heard = quiet, launched, 0.0
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopWish":
        """Take the signals over."""
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._hear) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.asked and self._launched and time.monotonic() - self._heard < ECHO:
            return
        if self.asked:
            raise KeyboardInterrupt
        self._heard = time.monotonic()
        self.asked = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        if not self._quiet:  # os.write is safe inside a handler, unlike print
            os.write(2, b"\nstopping after this step; Ctrl-C again stops at once\n")
