"""A look at a job: observe, decide, make, delete, tell, write the status and mark, in this order.

Level-triggered: nothing is carried from one look to the next but what the API server has. The order makes each look
safe to end anywhere: children have names that are known beforehand, and the status is written after all that it says,
so that the next look finds either all of that, or the same to do again. Marks follow from the status and come after it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mtj_api.contract import API_VERSION, KIND, MANAGER
from mtj_api.status import JobStatus
from mtj_operator.control import snapshots
from mtj_operator.control.cache import Cache
from mtj_operator.control.client import ApiError, Client, UnreachableError
from mtj_operator.control.intake import Intake
from mtj_operator.control.log import Log
from mtj_operator.control.metrics import Metrics
from mtj_operator.control.rights import CHILDREN, DELETED, EVENT, JOB, POD, RESOURCE, Kind
from mtj_operator.control.snapshots import Key, Raw
from mtj_operator.plan.objects import Child
from mtj_operator.plan.observed import Observed, Resource
from mtj_operator.plan.settings import ClusterSettings
from mtj_operator.plan.story.decision import Decision, Deletion, Mark, StoryEvent

Decide = Callable[[Observed, ClusterSettings, float], Decision]

_TELL_WITHIN = 5.0
"""Seconds for which Events and a status let the children of other jobs pass."""

_MARK_WITHIN = 30.0
"""Seconds for the marks of one look: an admission webhook that is slow holds up each by its own timeout."""

_GONE = 404
_TAKEN = 409
_BUSY = 429


class RefusedError(Exception):
    """The API server will not have a child, or not let one go, as things are; it may later."""


@dataclass(frozen=True)
class Turn:
    """A look whose children are made, and whose words are not told yet.

    Attributes:
        began: when, by the monotonic clock.
        refused: what stood in the way of a child that it takes, or of the end of one that is left over.
    """

    key: Key
    resource: Resource
    decision: Decision
    began: float
    refused: RefusedError | None = None


class Reconciler:
    """Looks at jobs.

    Args:
        cache, intake: what is known, and the way in for the answers to own writes.
        client: writes.
        decide: what is to be done for a job.
        settings: the cluster's.
        metrics: counts jobs by state.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        cache: Cache,
        intake: Intake,
        client: Client,
        decide: Decide,
        settings: ClusterSettings,
        metrics: Metrics,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._cache = cache
        self._intake = intake
        self._client = client
        self._decide = decide
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._log = Log("reconcile")

    async def act(self, key: Key) -> Turn | None:
        """The first half of a look: decide, make and delete; ``None`` where there is nothing to tell.

        Raises:
            ApiError: a write was refused.
            UnreachableError: the API server did not answer.
        """
        began = time.monotonic()
        observed = self._cache.observe(key)
        if observed is None or observed.resource.deleted:
            self._forget(key)
            return None
        decision = self._decide(observed, self._settings, self._clock())
        self._cache.wait(key, decision.waits_for)
        self._metrics.jobs.note(key, decision.status)
        if decision.delete_resource:
            self._log.say("has outlived its time", job=key)
            await self._delete(RESOURCE, key, observed.resource.uid, began)
            return None
        refused = None
        try:
            await self._make_all(key, observed.resource, decision.children, began)
        except RefusedError as error:
            if decision.children[-1].optional:
                self._log.warn("goes on without", job=key, error=error)
            else:
                refused = error
            observed = self._cache.observe(key) or observed
            decision = self._decide(observed, self._settings, self._clock())
        for deletion in decision.deletions:
            try:
                await self._take_away(key, deletion, began)
            except RefusedError as error:  # what is left over keeps nobody from being told how the job is
                refused = refused or error
        return Turn(key, observed.resource, decision, began, refused)

    async def tell(self, turn: Turn) -> bool:
        """The second half: post Events, write the status and mark pods; whether that changed the status.

        Raises:
            RefusedError: a child could not be made, of which the status says why, or not be deleted.
            ApiError: the status was refused.
            UnreachableError: the API server did not answer.
        """
        due = turn.began + _TELL_WITHIN
        for event in turn.decision.events:
            await self._post(turn.key, turn.resource, event, due)
        told = await self._write_status(turn.key, turn.resource, turn.decision.status, due)
        await self._mark_all(turn.key, turn.decision.marks, due)
        if turn.refused is not None:
            raise turn.refused
        return told

    async def _make_all(self, key: Key, resource: Resource, children: tuple[Child, ...], due: float) -> None:
        """Make the children of an attempt, its Job last; what stands in the way of any is kept under the Job's name."""
        if not children:
            return
        name = children[-1].object["metadata"]["name"]
        try:
            for child in children:
                await self._make(key, resource, child, due)
        except RefusedError as refused:
            self._cache.refuse(key, name, str(refused))
            raise
        self._cache.refuse(key, name, "")

    async def _make(self, key: Key, resource: Resource, child: Child, due: float) -> None:
        kind = CHILDREN[child.object["kind"]]
        name = child.object["metadata"]["name"]
        try:
            if child.how == "apply":
                made = await self._client.apply(kind, child.object, due=due)
            else:
                made = await self._client.create(kind, child.object, due=due)
        except ApiError as error:
            # Other faults of the server are told: such is its answer while an admission webhook is down.
            if error.status == _BUSY:
                raise
            if error.reason != "AlreadyExists":
                raise RefusedError(f"the {kind.name} {name} cannot be made: {error}") from error
            made = await self._client.get(kind, Key(key.namespace, name))
            if snapshots.owner_uid(made) != resource.uid:
                raise RefusedError(
                    f"the {kind.name} {name} is there already and is not this job's; delete it or rename this job"
                ) from error
        else:
            self._log.say("made", job=key, kind=kind.name, name=name)
        if kind is JOB:
            self._cache.jobs.put(self._intake.jobs.entry(made))

    async def _take_away(self, key: Key, deletion: Deletion, due: float) -> None:
        child = Key(key.namespace, deletion.name)
        try:
            await self._delete(DELETED[deletion.kind], child, deletion.uid, due, deletion.grace)
        except ApiError as error:
            if error.status == _BUSY:
                raise
            raise RefusedError(f"the {deletion.kind} {deletion.name} cannot be deleted: {error}") from error
        self._log.say("deleted", job=key, kind=deletion.kind, name=deletion.name)

    async def _delete(self, kind: Kind, key: Key, uid: str, due: float, grace: int | None = None) -> None:
        try:
            await self._client.delete(kind, key, uid, grace=grace, due=due)
        except ApiError as error:
            if error.status not in (_GONE, _TAKEN):
                raise

    async def _mark_all(self, key: Key, marks: Iterable[Mark], due: float) -> None:
        """Annotate pods. From the first that cannot be annotated on, they are left to the next look."""
        try:
            async with asyncio.timeout(_MARK_WITHIN):
                for mark in marks:
                    await self._mark(key, mark, due)
        except (ApiError, UnreachableError, TimeoutError) as error:
            self._log.warn("pods were not annotated", job=key, error=str(error) or "it takes too long")

    async def _mark(self, key: Key, mark: Mark, due: float) -> None:
        pod = self._cache.pods.find(key, mark.pod)
        if pod is None:
            return
        try:
            made = await self._client.annotate(POD, Key(key.namespace, pod.name), pod.uid, mark.annotations, due=due)
        except ApiError as error:
            if error.status not in (_GONE, _TAKEN):
                raise
        else:
            self._cache.pods.put(self._intake.pods.entry(made))

    async def _post(self, key: Key, resource: Resource, event: StoryEvent, due: float) -> None:
        """Post an Event. One that cannot be posted is a pity, and holds nothing up."""
        self._log.say(event.message, job=key, reason=event.reason)
        try:
            await self._client.create(EVENT, _event(resource, event, self._clock()), due=due)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                self._log.warn("an Event was refused", job=key, reason=event.reason, error=error)

    async def _write_status(self, key: Key, resource: Resource, status: JobStatus, due: float) -> bool:
        """Write what differs; whether that changed anything."""
        wanted = status.model_dump(mode="json", by_alias=True, exclude_none=True)
        changes = merge_patch(json.loads(resource.status), wanted)
        if not changes:
            return False
        try:
            answer = await self._client.patch_status(key, resource.uid, changes, due=due)
        except ApiError as error:
            # A server that does not serve the resource just then answers 404, too, and has lost no job.
            if error.reason != "NotFound":
                raise
            self._cache.resources.drop(key, key.name, resource.uid)
            self._forget(key)
            self._intake.wake(key)
            return False
        self._log.detail("wrote the status", job=key, state=status.state, stage=status.stage)
        changed = self._cache.resources.put(self._intake.resources.entry(answer))
        if changed:
            self._intake.wake(key)
        return changed

    def _forget(self, key: Key) -> None:
        self._cache.forget(key)
        self._metrics.jobs.forget(key)


def merge_patch(before: Raw, after: Raw) -> dict[str, Any]:
    """The JSON merge patch (RFC 7386) that makes ``after`` of ``before``; empty where they are equal."""
    changes: dict[str, Any] = {name: None for name in before if name not in after}
    for name, value in after.items():
        was = before.get(name)
        if isinstance(value, dict) and isinstance(was, dict):
            inner = merge_patch(was, value)
            if inner:
                changes[name] = inner
        elif name not in before or was != value:
            changes[name] = value
    return changes


def _event(resource: Resource, event: StoryEvent, now: float) -> Raw:
    """The same turn of the story has the same name, so that it is told once however often it is posted."""
    digest = hashlib.sha256(f"{resource.uid}/{event.key}".encode()).hexdigest()[:16]
    time = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{resource.name}.{digest}", "namespace": resource.namespace},
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "namespace": resource.namespace,
            "name": resource.name,
            "uid": resource.uid,
            "resourceVersion": resource.version,
        },
        "reason": event.reason,
        "message": event.message[:1024],
        "type": "Warning" if event.warning else "Normal",
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
        "source": {"component": MANAGER},
        "reportingComponent": MANAGER,
        "reportingInstance": MANAGER,
    }
