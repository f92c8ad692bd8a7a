"""Which jobs are to be looked at, and when: the semantics of controller-runtime's work queue.

A key that is marked many times is looked at once. One that is marked while it is being looked at is looked at once
more afterwards, so that no change is missed and no two look at the same job. What failed comes back later each time.
What just changed goes before what is only looked at again for safety.

Invariant: every key that was marked is taken later than it was marked. Nothing here knows what a key stands for.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")

FIRST_BACKOFF = 0.5
LONGEST_BACKOFF = 120.0
"""Seconds until a key that failed comes back: after the first failure, and at most."""

_STALE = 100
"""How many timers may be left of keys that were looked at before their time."""


class WorkQueue(Generic[K]):
    """Keys that wait.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._fresh: dict[K, float] = {}
        self._again: dict[K, float] = {}
        self._running: dict[K, float] = {}
        self._marked_again: dict[K, bool] = {}
        self._due: dict[K, float] = {}
        self._timers: list[tuple[float, int, K]] = []
        self._count = 0
        self._failures: dict[K, int] = {}
        self._marked = asyncio.Event()

    def mark(self, key: K, *, fresh: bool = True) -> None:
        """Have a key looked at.

        Args:
            key: which.
            fresh: whether something changed; otherwise it waits for all that did.
        """
        if key in self._running:
            self._marked_again[key] = fresh or self._marked_again.get(key, False)
        elif fresh:
            self._fresh.setdefault(key, self._again.pop(key, self._clock()))
        elif key not in self._fresh:
            self._again.setdefault(key, self._clock())
        self._marked.set()

    def take(self) -> tuple[K, float] | None:
        """The next key and how long it has waited, in seconds; ``None`` where none waits. ``done`` must follow."""
        self._ripen()
        for waiting in (self._fresh, self._again):
            if waiting:
                key = next(iter(waiting))
                since = waiting.pop(key)
                self._running[key] = since
                self._due.pop(key, None)
                return key, self._clock() - since
        return None

    def done(self, key: K, requeue_after: float | None = None) -> None:
        """A key that was taken has been looked at, without failure.

        Args:
            key: which.
            requeue_after: seconds until it is to be looked at again if nothing else happens; ``None`` for never.
        """
        self._failures.pop(key, None)
        self._finish(key, requeue_after)

    def failed(self, key: K) -> float:
        """A key that was taken could not be dealt with; the seconds after which it comes back."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(failures, 16))
        self._finish(key, delay, hurry=False)
        return delay

    def next_due(self) -> float | None:
        """When the next key comes back by itself, by the clock."""
        while self._timers and self._due.get(self._timers[0][2]) != self._timers[0][0]:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def oldest(self) -> float:
        """Seconds since the oldest mark whose key waits for a look or is being looked at; 0 where there is none."""
        since = [min(keys.values()) for keys in (self._fresh, self._again, self._running) if keys]
        return self._clock() - min(since) if since else 0.0

    def __len__(self) -> int:
        """How many keys wait for a look; those that wait for a time are not among them."""
        return len(self._fresh) + len(self._again)

    async def changed(self) -> None:
        """Return when there may be a key to take."""
        due = self.next_due()
        self._marked.clear()
        if len(self):
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if due is None else max(0.0, due - self._clock())):
                await self._marked.wait()

    def _finish(self, key: K, delay: float | None, *, hurry: bool = True) -> None:
        del self._running[key]
        marked = self._marked_again.pop(key, None)
        if marked is not None and hurry:
            self.mark(key, fresh=marked)
        elif delay is not None:
            self._due[key] = self._clock() + delay
            self._count += 1
            heapq.heappush(self._timers, (self._due[key], self._count, key))
            self._marked.set()
            if len(self._timers) > 2 * len(self._due) + _STALE:
                self._timers = [timer for timer in self._timers if self._due.get(timer[2]) == timer[0]]
                heapq.heapify(self._timers)

    def _ripen(self) -> None:
        """Keys whose time has come wait for a look like those that changed."""
        while (due := self.next_due()) is not None and due <= self._clock():
            _, _, key = heapq.heappop(self._timers)
            del self._due[key]
            self.mark(key)
