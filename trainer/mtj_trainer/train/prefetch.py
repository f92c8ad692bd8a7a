"""Making the next batches while the present one is computed, and knowing how long one waited for them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")


class Prefetcher(Generic[T]):
    """Runs ``make(0), make(1), ...`` ahead in a thread and gives out the results in order.

    A thread is enough: making a batch is numpy and file reading, which release the interpreter.

    Args:
        make: makes the n-th item.
        items: how many there are.
        ahead: how many may be ready before they are asked for.
    """

    def __init__(self, make: Callable[[int], T], items: range, ahead: int = 4) -> None:
        self._make = make
        self._left = iter(items)
        self._ahead = ahead
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="prefetch")
        self._ready: deque[Future[T]] = deque()
        self.waited_seconds = 0.0

    def __iter__(self) -> Generator[T, None, None]:
        try:
            while True:
                while len(self._ready) < self._ahead and (index := next(self._left, None)) is not None:
                    self._ready.append(self._pool.submit(self._make, index))
                if not self._ready:
                    return
                began = time.perf_counter()
                item = self._ready.popleft().result()
                self.waited_seconds += time.perf_counter() - began
                yield item
        finally:
            self._pool.shutdown(wait=True, cancel_futures=True)
