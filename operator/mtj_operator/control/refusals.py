"""Finds out why a Job lacks pods: the Job itself does not say, but its controller posts an Event.

A quota that is used up, a missing service account or an admission rule keep a Job without pods for ever, or without
some of them, and nothing of it is in the Job or in any pod. Invariant: a Job that nobody has taken up yet, or that is
held back on purpose, is left alone; one that goes on lacking pods is asked about less and less often.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator

from mtj_operator.control.cache import Cache, Entry
from mtj_operator.control.client import ApiError, Client, UnreachableError
from mtj_operator.control.log import Log
from mtj_operator.control.rights import EVENT
from mtj_operator.control.snapshots import Key, Raw
from mtj_operator.plan.observed import JobSnapshot

_EVERY = 5.0
_FIRST_LOOK = 4.0
_LONGEST_PAUSE = 300.0


class Refusals:
    """Looks for Jobs that lack pods.

    Args:
        cache: the Jobs and pods, and where reasons go.
        client: lists Events.
        mark: called with the key of each job for which that changed something.
        clock: seconds since 1970.
    """

    def __init__(
        self, cache: Cache, client: Client, mark: Callable[[Key], None], clock: Callable[[], float] = time.time
    ) -> None:
        self._cache = cache
        self._client = client
        self._mark = mark
        self._clock = clock
        self._next: dict[str, float] = {}
        self._log = Log("refusals")

    async def run(self) -> None:
        """Do it for ever."""
        while True:
            await asyncio.sleep(_EVERY)
            try:
                await self.look()
            except (ApiError, UnreachableError) as error:
                self._log.warn("could not list Events", error=error)

    async def look(self) -> None:
        """Ask about each Job that lacks pods and is due."""
        short = {entry.uid: entry for entry in self._short_of_pods()}
        self._next = {uid: due for uid, due in self._next.items() if uid in short}
        for key in list(self._cache.refusals):
            for name in list(self._cache.refusals.get(key, ())):
                job = self._cache.jobs.find(key, name)
                if job is not None and job.uid not in short:
                    self._take(key, name, "")
        now = self._clock()
        for uid, entry in short.items():
            age = now - (entry.snapshot.started or now)
            if age >= _FIRST_LOOK and now >= self._next.get(uid, 0.0):
                self._next[uid] = now + min(_LONGEST_PAUSE, max(_FIRST_LOOK, age / 2))
                self._take(entry.key, entry.name, await self._why(entry))

    def _short_of_pods(self) -> Iterator[Entry[JobSnapshot]]:
        """Jobs that were taken up by their controller, are under way, and have fewer pods than they are to have."""
        for entry in self._cache.jobs:
            job = entry.snapshot
            ends = job.succeeded or job.failed or job.failing or job.suspended or job.deleted
            if job.started is None or ends:
                continue
            if sum(pod.job == job.name for pod in self._cache.pods.of(entry.key)) < job.pods:
                yield entry

    def _take(self, key: Key, name: str, why: str) -> None:
        if self._cache.refusals.get(key, {}).get(name, "") != why:
            self._cache.refuse(key, name, why)
            self._mark(key)

    async def _why(self, entry: Entry[JobSnapshot]) -> str:
        found: list[Raw] = []
        fields = f"involvedObject.uid={entry.uid},reason=FailedCreate"
        async for page in self._client.pages(EVENT, entry.key.namespace, fields=fields):
            found.extend(page.items)
        if not found:
            return ""
        latest = max(found, key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")
        message: str = latest.get("message", "")
        return message
