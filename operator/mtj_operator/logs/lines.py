"""Lines of a log as Kubernetes sends them, each with the time at which its container wrote it: pure.

Invariant: what a connection that broke off had already brought is recognized when the log is asked for again. The
server can be asked for lines from a whole second on; how many of that second's were had is counted here.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

LONGEST = 16 * 1024
"""Bytes of a line; what is beyond is cut, as no reader would see it."""

_CUT = " ..."
_SECOND = 10**9
_TIME = 64
"""Bytes that the time before a line may take."""


_RFC3339 = re.compile(r"(?P<second>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.(?P<fraction>\d+))?(?P<zone>Z|[+-]\d\d:\d\d)")


class Line(NamedTuple):
    """A line, without its end.

    Attributes:
        time: nanoseconds since 1970; 0 where the line does not begin with one.
    """

    time: int
    text: str


class Splitter:
    """Makes lines of the pieces that a connection brings."""

    def __init__(self) -> None:
        self._open = bytearray()

    def lines(self, piece: bytes) -> list[Line]:
        """The lines that end in this piece."""
        *ended, rest = piece.split(b"\n")
        found = []
        for part in ended:
            self._add(part)
            found.append(_line(bytes(self._open)))
            self._open.clear()
        self._add(rest)
        return found

    def rest(self) -> list[Line]:
        """The last line, where it has no end."""
        return [_line(bytes(self._open))] if self._open else []

    def _add(self, part: bytes) -> None:
        room = _TIME + LONGEST + 1 - len(self._open)
        self._open += part[: max(0, room)]


class Position:
    """How far a log has been read."""

    def __init__(self) -> None:
        self._second: int | None = None
        self._had = 0
        self._again = 0

    def begin(self) -> str:
        """Begin another answer; from when on to ask for lines, as RFC 3339, or nothing for all of them."""
        self._again = self._had
        return "" if self._second is None else f"{datetime.fromtimestamp(self._second, UTC):%Y-%m-%dT%H:%M:%SZ}"

    @property
    def is_begun(self) -> bool:
        """Whether any line was had."""
        return self._second is not None

    @property
    def is_confirmed(self) -> bool:
        """Whether the answer so far brought all again that was had of its second, so that it was not cut short."""
        return self.is_begun and not self._again

    def is_new(self, line: Line) -> bool:
        """Whether the next line of an answer has not been had before; it is had from now on."""
        second = line.time // _SECOND
        if self._again and second == self._second:
            self._again -= 1
            return False
        if self._second is None or second > self._second:
            self._second, self._had, self._again = second, 1, 0
        elif second == self._second:
            self._had += 1
        return True


async def merged(logs: Sequence[AsyncIterator[Line]]) -> AsyncIterator[tuple[int, Line]]:
    """The lines of several logs by time, each with the number of its log; a line of each is held at a time."""
    waiting: list[tuple[int, int, Line]] = []
    for number, log in enumerate(logs):
        async for line in log:
            waiting.append((line.time, number, line))
            break
    heapq.heapify(waiting)
    while waiting:
        _, number, line = waiting[0]
        yield number, line
        try:
            following = await anext(logs[number])
        except StopAsyncIteration:
            heapq.heappop(waiting)
        else:
            heapq.heapreplace(waiting, (following.time, number, following))


def _line(raw: bytes) -> Line:
    written, _, text = raw.partition(b" ")
    time = _time(written.decode("ascii", "replace"))
    text = text if time else raw
    cut = _CUT if len(text) > LONGEST else ""
    return Line(time, text[:LONGEST].decode("utf-8", "replace").removesuffix("\r") + cut)


def _time(text: str) -> int:
    """Nanoseconds of a time such as ``2026-01-31T12:00:00.123456789Z``; 0 for what is none."""
    match = _RFC3339.fullmatch(text)
    if match is None:
        return 0
    second = datetime.fromisoformat(match["second"] + match["zone"])
    return int(second.timestamp()) * _SECOND + int((match["fraction"] or "").ljust(9, "0")[:9] or 0)
