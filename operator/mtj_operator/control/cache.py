"""What is known of the cluster: trimmed snapshots of jobs and of their children, by the job that they belong to.

Several sources write here, and none waits for another: kopf's events, the watches of children, the answers to own
writes, and the resync. Invariant: of one object (by its uid) a later version is never replaced by an earlier one, and
what was deleted does not come back, in whatever order the sources speak. A child whose label is taken away is told of
as deleted; it is known again from the version on in which the label is back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from mtj_operator.control.snapshots import Key
from mtj_operator.plan.observed import JobSnapshot, Observed, PodSnapshot, Resource, TrainingProgress
from mtj_operator.plan.story.sources import waited_for

T = TypeVar("T")

_TOMBSTONES = 4096
"""How many deleted objects are remembered. An answer that is overtaken by its object's end is late by a second."""


@dataclass(frozen=True, slots=True)
class Entry(Generic[T]):
    """An object as it was at one version.

    Attributes:
        key: the MusicTrainingJob that it is, or belongs to.
        name: its own name.
        uid: which of the objects that have borne this name.
        version: grows with each change.
        snapshot: what matters of it.
    """

    key: Key
    name: str
    uid: str
    version: int
    snapshot: T


class Store(Generic[T]):
    """The objects of one kind.

    Attributes:
        synced: whether the whole kind has been listed once, so that what is not here does not exist.
    """

    def __init__(self) -> None:
        self._entries: dict[Key, dict[str, Entry[T]]] = {}
        self._gone: dict[str, float] = {}
        self.synced = False

    def put(self, entry: Entry[T]) -> bool:
        """Take note of a version; whether that changed what is known."""
        siblings = self._entries.get(entry.key)
        known = siblings.get(entry.name) if siblings else None
        if (known is not None and known.version >= entry.version) or self.is_gone(entry.uid, entry.version):
            return False
        self._gone.pop(entry.uid, None)
        self._entries.setdefault(entry.key, {})[entry.name] = entry
        return known is None or known.uid != entry.uid or known.snapshot != entry.snapshot

    def drop(self, key: Key, name: str, uid: str, version: float = math.inf) -> bool:
        """Take note that an object is gone, as of a version, or for good; whether it was known."""
        self._gone[uid] = max(version, self._gone.get(uid, version))
        if len(self._gone) > _TOMBSTONES:
            del self._gone[next(iter(self._gone))]
        siblings = self._entries.get(key, {})
        if name not in siblings or siblings[name].uid != uid or siblings[name].version > version:
            return False
        del siblings[name]
        if not siblings:
            del self._entries[key]
        return True

    def replace(self, entries: Collection[Entry[T]], at: int, within: Callable[[Key], bool]) -> set[Key]:
        """Take a complete list; the jobs for which something changed.

        Args:
            entries: all that there is.
            at: the version of the list; what is known from later is kept.
            within: tells which keys the list is complete for.
        """
        listed = {entry.uid for entry in entries}
        vanished = [one for one in self if within(one.key) and one.uid not in listed and one.version <= at]
        changed = {one.key for one in vanished if self.drop(one.key, one.name, one.uid, at)}
        changed.update(entry.key for entry in entries if self.put(entry))
        return changed

    def of(self, key: Key) -> tuple[T, ...]:
        """The snapshots that belong to a job, by name."""
        siblings = self._entries.get(key, {})
        return tuple(siblings[name].snapshot for name in sorted(siblings))

    def find(self, key: Key, name: str) -> Entry[T] | None:
        """The object of this name, if it is known to belong to the job."""
        return self._entries.get(key, {}).get(name)

    def is_gone(self, uid: str, version: int) -> bool:
        """Whether the object was deleted a short while ago, and this version of it came before that."""
        return version <= self._gone.get(uid, -1)

    def keys(self) -> Collection[Key]:
        """The jobs that something is known of."""
        return self._entries.keys()

    def __iter__(self) -> Iterator[Entry[T]]:
        for siblings in self._entries.values():
            yield from siblings.values()

    def __len__(self) -> int:
        return sum(len(siblings) for siblings in self._entries.values())


class Cache:
    """All kinds together, and what is known of jobs from elsewhere.

    Attributes:
        progress: of each job that trains, the latest that it told.
        refusals: by job and child Job, why the cluster makes the Job or its pods not, where it said so.
        silent: names of nodes that are gone or do not answer, among those that a pod is about to leave.
    """

    def __init__(self) -> None:
        self.resources: Store[Resource] = Store()
        self.jobs: Store[JobSnapshot] = Store()
        self.pods: Store[PodSnapshot] = Store()
        self.progress: dict[Key, TrainingProgress] = {}
        self.refusals: dict[Key, dict[str, str]] = {}
        self.silent: set[str] = set()
        self._waits: dict[Key, frozenset[str]] = {}
        self._waiting: dict[Key, set[Key]] = {}

    @property
    def synced(self) -> bool:
        """Whether all children are known, so that a job without any has none."""
        return self.jobs.synced and self.pods.synced

    def resource(self, key: Key) -> Resource | None:
        """The MusicTrainingJob itself."""
        entry = self.resources.find(key, key.name)
        return entry.snapshot if entry else None

    def observe(self, key: Key) -> Observed | None:
        """All that is known of a job; ``None`` where there is no such job."""
        resource = self.resource(key)
        if resource is None:
            return None
        return Observed(
            resource=resource,
            jobs=self.jobs.of(key),
            pods=tuple(self._with_node(pod) for pod in self.pods.of(key)),
            progress=self.progress.get(key),
            refusals=dict(self.refusals.get(key, ())),
            others=self._others(resource),
        )

    def _with_node(self, pod: PodSnapshot) -> PodSnapshot:
        return replace(pod, silent=True) if pod.node in self.silent else pod

    def _others(self, resource: Resource) -> dict[str, Resource]:
        """The jobs that it waits for, those that these wait for, and so on, as far as they are there."""
        found: dict[str, Resource] = {}
        names = list(waited_for(resource))
        while names:
            name = names.pop()
            other = None if name in found else self.resource(Key(resource.namespace, name))
            if other is not None:
                found[name] = other
                names += waited_for(other)
        return found

    def wait(self, key: Key, names: Collection[str]) -> None:
        """Take note of the jobs that a job waits for; none for nobody any more."""
        for name in self._waits.pop(key, ()):
            waiting = self._waiting[Key(key.namespace, name)]
            waiting.discard(key)
            if not waiting:
                del self._waiting[Key(key.namespace, name)]
        if names:
            self._waits[key] = frozenset(names)
            for name in names:
                self._waiting.setdefault(Key(key.namespace, name), set()).add(key)

    def waiting_for(self, key: Key) -> Collection[Key]:
        """The jobs that wait for a job, which need not be there."""
        return tuple(self._waiting.get(key, ()))

    def refuse(self, key: Key, name: str, why: str) -> None:
        """Take note of why a child Job, or its pods, cannot be made; empty for nothing any more."""
        if why:
            self.refusals.setdefault(key, {})[name] = why
        elif name in self.refusals.get(key, ()):
            del self.refusals[key][name]
            if not self.refusals[key]:
                del self.refusals[key]

    def forget(self, key: Key) -> None:
        """Drop what is known from elsewhere of a job that is gone."""
        self.progress.pop(key, None)
        self.refusals.pop(key, None)
        self.wait(key, ())
