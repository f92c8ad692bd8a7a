"""What the API server tells, on its way into the cache; and the marks of the jobs that it concerns.

Invariant: costs little and never waits, since it is done for every event.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from mtj_api.contract import JOB_LABEL, MANAGER
from mtj_operator.control import snapshots
from mtj_operator.control.cache import Cache, Entry, Store
from mtj_operator.control.metrics import Metrics
from mtj_operator.control.rights import JOB, POD, RESOURCE, Kind
from mtj_operator.control.snapshots import Key, Raw

T = TypeVar("T")

OURS = f"app.kubernetes.io/managed-by={MANAGER},{JOB_LABEL},{JOB_LABEL}!="
"""How the API server picks children among all Jobs and pods: they name the job that they belong to."""


@dataclass(frozen=True)
class Feed(Generic[T]):
    """How objects of one kind are read and kept.

    Attributes:
        kind: which.
        labels: those that matter among all of the kind.
        key: of the job that an object is, or belongs to.
        snapshot: what matters of it.
        store: where it goes.
    """

    kind: Kind
    labels: str
    key: Callable[[Raw], Key]
    snapshot: Callable[[Raw], T]
    store: Store[T]

    def entry(self, raw: Raw) -> Entry[T]:
        """An object as the cache keeps it."""
        metadata = raw["metadata"]
        return Entry(self.key(raw), metadata["name"], metadata["uid"], snapshots.version(raw), self.snapshot(raw))


class Mark(Protocol):
    """Has a job looked at; ``fresh`` where something changed."""

    def __call__(self, key: Key, *, fresh: bool = True) -> None: ...


class Intake:
    """The way into the cache.

    Args:
        cache: where all goes.
        mark: called for each job that is to be looked at.
        metrics: counts events.
        clock: seconds, monotonic.

    Attributes:
        last_event: when the API server last told something, by the clock.
        jobs, pods, resources: the kinds.
    """

    def __init__(self, cache: Cache, mark: Mark, metrics: Metrics, clock: Callable[[], float]) -> None:
        self.resources = Feed(RESOURCE, "", snapshots.key_of, snapshots.resource, cache.resources)
        self.jobs = Feed(JOB, OURS, snapshots.owner_key, snapshots.job, cache.jobs)
        self.pods = Feed(POD, OURS, snapshots.owner_key, snapshots.pod, cache.pods)
        self.last_event = clock()
        self._cache = cache
        self._mark = mark
        self._metrics = metrics
        self._clock = clock

    @property
    def feeds(self) -> tuple[Feed[Any], ...]:
        """All kinds."""
        return (self.resources, self.jobs, self.pods)

    def event(self, feed: Feed[T], what: str | None, raw: Raw) -> None:
        """An event of a watch.

        Args:
            feed: of which kind.
            what: ``ADDED``, ``MODIFIED`` or ``DELETED``; ``None`` for an object of a list.
            raw: the object.
        """
        self.last_event = self._clock()
        self._metrics.events.labels(feed.kind.plural).inc()
        entry = feed.entry(raw)
        if not entry.key.name:
            return
        gone = what == "DELETED"
        store = feed.store
        if store.drop(entry.key, entry.name, entry.uid, entry.version) if gone else store.put(entry):
            self._mark(entry.key, fresh=what is not None)
            if store is self._cache.resources:
                self.wake(entry.key)

    def listed(self, feed: Feed[T], entries: list[Entry[T]], at: int, namespace: str | None) -> set[Key]:
        """A complete list of a kind, of the version ``at``; the jobs for which it told something new."""
        changed = feed.store.replace(entries, at, lambda key: namespace is None or key.namespace == namespace)
        for key in changed:
            self._mark(key, fresh=False)
            if feed.store is self._cache.resources:
                self.wake(key)
        return changed

    def wake(self, key: Key) -> None:
        """Have the jobs looked at that wait for a job which has changed."""
        for waiting in self._cache.waiting_for(key):
            self._mark(waiting)
