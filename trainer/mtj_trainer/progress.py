"""Progress lines of long work: one that is redrawn on a terminal, one every few seconds in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

from mtj_api.errors import visible


class Progress:
    """Prints where a stage stands, never more often than is useful to read.

    Args:
        stage: the word that each line begins with.
        total: how many units of work there are in all.
        stream: where to print; a terminal gets one line that is redrawn.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        stage: str,
        total: int,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stage = stage
        self.total = total
        self._stream = stream if stream is not None else sys.stdout
        self._clock = clock
        self._redraws = self._stream.isatty()
        self._interval = 0.2 if self._redraws else 5.0
        self._last = float("-inf")
        self._width = 0

    def update(self, done: int, note: str = "") -> None:
        """Say that ``done`` units are finished; ``note`` says more, such as the loss."""
        now = self._clock()
        if now - self._last < self._interval and done < self.total:
            return
        self._last = now
        line = f"{self._stage:<9} {done}/{self.total}{'  ' + note if note else ''}"
        if self._redraws:
            self._stream.write("\r" + line.ljust(self._width))
            self._width = len(line)
            if done >= self.total:
                self._stream.write("\n")
        else:
            self._stream.write(line + "\n")
        self._stream.flush()

    def say(self, text: str) -> None:
        """Print a line of its own."""
        if self._redraws and self._width:
            self._stream.write("\r" + " " * self._width + "\r")
        self._stream.write(f"{self._stage:<9} {visible(text)}\n")
        self._stream.flush()


def clock_text(seconds: float) -> str:
    """``75.2`` as ``1:15``, for remaining times."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"
