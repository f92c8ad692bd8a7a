"""Bounds how many writes are under way, and lets those pass first that cannot wait.

In a burst of new jobs a status that is told a few seconds later harms nobody, and a child Job that is made a few
seconds later does. So each write has a time by which it is due, and what is due first goes first. Invariant: no write
waits for ever, since all that come after it is due go after it.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Gate:
    """Slots for writes.

    Args:
        slots: how many writes are under way at most.
    """

    def __init__(self, slots: int) -> None:
        self._free = slots
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    @asynccontextmanager
    async def slot(self, due: float) -> AsyncIterator[None]:
        """Hold a slot for the length of the context; ``due`` is on a clock that all who come agree on."""
        if self._free:
            self._free -= 1
        else:
            await self._wait(due)
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, due: float) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._waiting, (due, self._count, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        while self._waiting:
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
