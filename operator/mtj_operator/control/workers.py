"""Takes keys from the queue and has them looked at, many side by side.

Invariant: a look that fails, however, harms no other; its key comes back later.
"""

from __future__ import annotations

import asyncio
import time

from mtj_operator.control.client import ApiError, NotAllowedError, UnreachableError
from mtj_operator.control.log import Log
from mtj_operator.control.metrics import Metrics
from mtj_operator.control.queue import WorkQueue
from mtj_operator.control.reconcile import Reconciler, RefusedError, Turn
from mtj_operator.control.snapshots import Key

LAST_SECONDS = 5.0
"""How long looks that are under way may take to end when the operator stops."""


class Workers:
    """Does it until it is stopped.

    Args:
        queue: whose keys.
        reconciler: looks at them.
        count: how many jobs are decided about and have children made at once.
        metrics: times of waits and looks.
    """

    def __init__(self, queue: WorkQueue[Key], reconciler: Reconciler, count: int, metrics: Metrics) -> None:
        self._queue = queue
        self._reconciler = reconciler
        self._slots = asyncio.Semaphore(count)
        self._metrics = metrics
        self._looks: set[asyncio.Task[None]] = set()
        self._log = Log("reconcile")

    async def run(self) -> None:
        """Take keys for ever."""
        while True:
            await self._slots.acquire()
            while (taken := self._queue.take()) is None:
                await self._queue.changed()
            key, waited = taken
            self._metrics.queue_wait.observe(waited)
            look = asyncio.create_task(self._look(key))
            self._looks.add(look)
            look.add_done_callback(self._looks.discard)
            await asyncio.sleep(0)  # answers are read between two decisions, however many keys wait

    async def finish(self) -> None:
        """Let looks that are under way end, once ``run`` was cancelled."""
        if self._looks:
            _, left = await asyncio.wait(self._looks, timeout=LAST_SECONDS)
            for look in left:
                look.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def _look(self, key: Key) -> None:
        began = time.monotonic()
        try:
            turn = await self._act(key)
            told = turn is not None and await self._reconciler.tell(turn)
        except (ApiError, UnreachableError, NotAllowedError, RefusedError) as error:
            again = self._failed(key, error)
            self._log.warn("will try again", job=key, error=error, seconds=again)
        except Exception as error:
            again = self._failed(key, error)
            self._log.fault("failed unexpectedly; will try again", error, job=key, seconds=again)
        else:
            self._queue.done(key, turn.decision.requeue_after if turn is not None else None)
            if told:
                self._queue.mark(key, fresh=False)
        finally:
            self._metrics.reconcile.observe(time.monotonic() - began)

    async def _act(self, key: Key) -> Turn | None:
        """The half of a look that is bounded. Whoever only waits to tell holds up no other job."""
        try:
            return await self._reconciler.act(key)
        finally:
            self._slots.release()

    def _failed(self, key: Key, error: Exception) -> float:
        self._metrics.errors.labels(type(error).__name__.removesuffix("Error").strip("_")).inc()
        return self._queue.failed(key)
