"""Compares what is known with what the API server lists, now and then, and heals what a watch has missed.

kopf never tells of a job that vanished while its watch was broken, and any watch may go deaf. The comparison reads
names and versions alone, which costs a fraction of reading the objects; only where something was missed are the
objects themselves read. Invariant: a change that the watch is about to tell is not counted as missed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from mtj_operator.control import snapshots
from mtj_operator.control.client import ApiError, Client, UnreachableError
from mtj_operator.control.intake import Feed, Intake
from mtj_operator.control.log import Log
from mtj_operator.control.metrics import Metrics
from mtj_operator.control.watch import list_all

GRACE = 5.0
"""Seconds that a watch is given to tell what the list has told already."""


class Resync:
    """Does it for all kinds.

    Args:
        client, intake: the API server, and where what was missed goes.
        namespaces: where; ``None`` alone for the whole cluster.
        metrics: counts what was missed.
        seconds: between two comparisons.
        clock: seconds, monotonic.

    Attributes:
        seconds: between two comparisons.
        last: when all was last compared, by the clock.
        deaf: comparisons in a row that found something missed: a watch that is dead misses more each time.
    """

    def __init__(
        self,
        client: Client,
        intake: Intake,
        namespaces: Sequence[str | None],
        metrics: Metrics,
        seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self._client = client
        self._intake = intake
        self._namespaces = namespaces
        self._metrics = metrics
        self.seconds = seconds
        self._clock = clock
        self._log = Log("resync")
        self.last = clock()
        self.deaf = 0

    async def run(self) -> None:
        """Do it for ever."""
        while True:
            await asyncio.sleep(self.seconds)
            try:
                missed = sum(
                    [await self._compare(feed, one) for feed in self._intake.feeds for one in self._namespaces]
                )
            except (ApiError, UnreachableError) as error:
                self._log.warn("could not compare", error=error)
                continue
            self.last = self._clock()
            self.deaf = self.deaf + 1 if missed else 0

    async def _compare(self, feed: Feed[Any], namespace: str | None) -> int:
        """How many changes of a kind were missed, and are no longer."""
        listed: dict[str, int] = {}
        at = 0
        pages = self._client.pages(feed.kind, namespace, labels=feed.labels, metadata_alone=True)
        async for page in pages:
            listed.update((raw["metadata"]["uid"], snapshots.version(raw)) for raw in page.items)
            at = page.version
        if not self._differing(feed, namespace, listed, at):
            return 0
        await asyncio.sleep(GRACE)
        missed = len(self._differing(feed, namespace, listed, at))
        if missed:
            self._log.warn("the watch missed changes", kind=feed.kind.plural, count=missed)
            self._metrics.missed.labels(feed.kind.plural).inc(missed)
            await list_all(self._client, self._intake, feed, namespace)
        return missed

    @staticmethod
    def _differing(feed: Feed[Any], namespace: str | None, listed: dict[str, int], at: int) -> set[str]:
        """Objects, by uid, that the cache has in an older version than the list, or that one of both lacks."""
        known = {one.uid: one.version for one in feed.store if namespace in (None, one.key.namespace)}
        behind = {
            uid
            for uid, version in listed.items()
            if known.get(uid, 0) < version and not feed.store.is_gone(uid, version)
        }
        vanished = {uid for uid, version in known.items() if uid not in listed and version <= at}
        return behind | vanished
