"""Keeps the cache of the children, Jobs and pods, in step with the API server: list once, then watch.

Children come as bursts of small changes, and there are several for each job. kopf's machinery for handlers costs
0.4 ms of processor an event, which these few lines do without.

Invariant: what the cache holds is some past state of the cluster in whole, and no change is lost: when a watch
cannot go on from where it broke off, a new list replaces all, and what vanished meanwhile is told too.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing
from typing import Generic, TypeVar

from mtj_operator.control.cache import Entry
from mtj_operator.control.client import ApiError, Client, UnreachableError
from mtj_operator.control.intake import Feed, Intake
from mtj_operator.control.log import Log
from mtj_operator.control.snapshots import Raw

T = TypeVar("T")

SILENCE = 90.0
"""Seconds without a word after which a watch is taken for dead: bookmarks come every minute."""

_BETWEEN = 0.1
_GONE = 410
_LONGEST_PAUSE = 15.0


class ChildWatch(Generic[T]):
    """The children of one kind.

    Args:
        client: reads the API server.
        intake: where they go.
        feed: which kind.
        namespace: where; ``None`` for the whole cluster.

    Attributes:
        listed: set once the first list is in.
    """

    def __init__(self, client: Client, intake: Intake, feed: Feed[T], namespace: str | None) -> None:
        self._client = client
        self._intake = intake
        self._feed = feed
        self._namespace = namespace
        self._log = Log("watch")
        self.listed = asyncio.Event()

    async def run(self) -> None:
        """Do it for ever.

        Raises:
            ApiError: the first list was refused, as it is where a right is missing.
        """
        since: int | None = None
        pause = 0.0
        while True:
            try:
                if since is None:
                    since = await list_all(self._client, self._intake, self._feed, self._namespace)
                    self.listed.set()
                events = self._client.watch(
                    self._feed.kind, self._namespace, labels=self._feed.labels, since=since, silence=SILENCE
                )
                async with aclosing(events):
                    async for event in events:
                        since = self._take(event)
                        pause = 0.0
                await asyncio.sleep(_BETWEEN)
            except (ApiError, UnreachableError) as error:
                if isinstance(error, ApiError) and error.status == 403 and not self.listed.is_set():
                    raise
                if isinstance(error, ApiError) and error.status == _GONE:
                    since = None
                self._log.warn("watch broke off", kind=self._feed.kind.plural, error=error, pause=pause)
                await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311 - no secret
                pause = min(_LONGEST_PAUSE, max(0.2, pause * 2))

    def _take(self, event: Raw) -> int:
        """Take an event; the version after which the watch goes on."""
        what, raw = event["type"], event["object"]
        if what == "ERROR":
            raise ApiError(raw.get("code", 500), raw.get("reason", ""), raw.get("message", "the watch failed"))
        if what != "BOOKMARK":
            self._intake.event(self._feed, what, raw)
        return int(raw["metadata"]["resourceVersion"])


async def list_all(client: Client, intake: Intake, feed: Feed[T], namespace: str | None) -> int:
    """Replace what the cache holds of a kind by a list; the version that the list is of.

    Raises:
        ApiError: the list was refused.
        UnreachableError: no answer.
    """
    entries: list[Entry[T]] = []
    at = 0
    async for page in client.pages(feed.kind, namespace, labels=feed.labels):
        entries.extend(feed.entry(raw) for raw in page.items)
        at = page.version
    intake.listed(feed, entries, at, namespace)
    return at
