"""Workers without Ray, where what matters is what they are given and not that they are many."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from mtj_trainer.prepare.pool import Done, WorkerPool


class HerePool(WorkerPool):
    """Workers that are this process.

    Args:
        patience: items after which it is told to stop.
    """

    def __init__(self, patience: int = 1000) -> None:
        super().__init__(2, threading.Event())
        self.patience = patience

    def run(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            self.raise_if_stopped()
            yield Done(item, function(item))
            self.patience -= 1
            if self.patience <= 0:
                self._stop.set()


class NoPool(WorkerPool):
    """Workers that nobody may ask."""

    def __init__(self) -> None:
        super().__init__(1)

    def start(self) -> None:
        raise AssertionError("there was nothing to do")
