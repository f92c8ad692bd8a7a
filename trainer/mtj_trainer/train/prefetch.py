"""Making the next batches while the present one is computed, and knowing how long one waited for them."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")

LOOK_SECONDS = 0.2
"""How often who waits looks whether to wait on."""

LEAVE_SECONDS = 5.0
"""How long the item under way may take to be made when no more are wanted; one that is stuck is left behind."""


class Prefetcher(Generic[T]):
    """Runs ``make(0), make(1), ...`` ahead in a thread and gives out the results in order.

    A thread is enough: making a batch is numpy and file reading, which release the interpreter. It does not keep the
    process from ending.

    Args:
        make: makes the n-th item.
        items: how many there are.
        ahead: how many may be ready before they are asked for.
        gives_up: whether to wait for an item no longer; then there are no more.
    """

    def __init__(
        self, make: Callable[[int], T], items: range, ahead: int = 4, gives_up: Callable[[], bool] = lambda: False
    ) -> None:
        self._make = make
        self._items = items
        self._gives_up = gives_up
        self._room = threading.Semaphore(ahead)
        self._ready: queue.SimpleQueue[Future[T]] = queue.SimpleQueue()
        self._over = threading.Event()
        self.waited_seconds = 0.0

    def __iter__(self) -> Generator[T, None, None]:
        maker = threading.Thread(target=self._make_ahead, name="prefetch", daemon=True)
        maker.start()
        try:
            for _ in self._items:
                began = time.perf_counter()
                made = self._next()
                self.waited_seconds += time.perf_counter() - began
                if made is None:
                    return
                item = made.result()
                self._room.release()
                yield item
        finally:
            self._over.set()
            self._room.release()
            if not self._gives_up():
                maker.join(LEAVE_SECONDS)

    def _next(self) -> Future[T] | None:
        """The next item, or what went wrong in making it; ``None`` where the wait was given up."""
        while True:
            try:
                return self._ready.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                if self._gives_up():
                    return None

    def _make_ahead(self) -> None:
        for index in self._items:
            self._room.acquire()
            if self._over.is_set():
                return
            made: Future[T] = Future()
            try:
                made.set_result(self._make(index))
            except BaseException as fault:
                made.set_exception(fault)
            self._ready.put(made)
