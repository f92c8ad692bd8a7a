"""From objects as the API server sends them to the snapshots that decisions are made from: pure functions.

Invariant: total over whatever the API server may hold. A child's labels can be edited by anyone; what cannot be read
becomes a value that belongs to no stage.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from mtj_api.contract import (
    ATTEMPT_LABEL,
    CHECKPOINT_STEP_ANNOTATION,
    CHECKPOINT_TIME_ANNOTATION,
    CONTAINER,
    GROUP,
    JOB_LABEL,
    KIND,
    STAGE_LABEL,
)
from mtj_api.status import UNSEEN
from mtj_operator.plan.observed import JobSnapshot, PodSnapshot, Resource

Raw = Mapping[str, Any]
"""An object as parsed JSON."""

JOB_NAME_LABEL = "batch.kubernetes.io/job-name"
INDEX_LABEL = "batch.kubernetes.io/job-completion-index"


NO_STATUS = "{}"
"""The status, in a snapshot, of a MusicTrainingJob that nobody has dealt with yet."""


class Key(NamedTuple):
    """Which MusicTrainingJob."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def key_of(raw: Raw) -> Key:
    """The key of a MusicTrainingJob."""
    metadata = raw["metadata"]
    return Key(sys.intern(metadata["namespace"]), sys.intern(metadata["name"]))


def owner_key(raw: Raw) -> Key:
    """The key of the MusicTrainingJob that a child says it belongs to; its name is empty where it says nothing."""
    metadata = raw["metadata"]
    return Key(sys.intern(metadata["namespace"]), sys.intern(_labels(raw).get(JOB_LABEL, "")))


def version(raw: Raw) -> int:
    """The object's resource version, which grows with each change."""
    return int(raw["metadata"]["resourceVersion"])


def resource(raw: Raw) -> Resource:
    """A MusicTrainingJob."""
    metadata = raw["metadata"]
    return Resource(
        namespace=sys.intern(metadata["namespace"]),
        name=sys.intern(metadata["name"]),
        uid=metadata["uid"],
        generation=metadata.get("generation", 0),
        version=metadata["resourceVersion"],
        created=_seconds(metadata["creationTimestamp"]),
        spec=compact(raw.get("spec", {})),
        status=NO_STATUS if raw.get("status", UNSEEN) == UNSEEN else compact(raw["status"]),
        deleted="deletionTimestamp" in metadata,
    )


def job(raw: Raw) -> JobSnapshot:
    """A child Job.

    One whose success policy is met has succeeded, though its controller calls it failed where a pod that does not
    matter to the policy had failed by the time that it looked.
    """
    metadata, spec, status = raw["metadata"], raw.get("spec", {}), raw.get("status", {})
    conditions = {one["type"]: one for one in _true(status)}
    failed = conditions.get("Failed")
    failing = failed or conditions.get("FailureTarget")
    complete = conditions.get("Complete")
    met = "successPolicy" in spec and 0 in _indexes(status.get("completedIndexes", ""))
    ended = status.get("completionTime") if complete else failed["lastTransitionTime"] if failed else None
    return JobSnapshot(
        name=metadata["name"],
        uid=metadata["uid"],
        owner=owner_uid(raw),
        stage=sys.intern(_labels(raw).get(STAGE_LABEL, "")),
        attempt=_attempt(raw),
        pods=spec.get("completions") or spec.get("parallelism") or 1,
        created=_seconds(metadata["creationTimestamp"]),
        started=_time(status.get("startTime")),
        ended=_time(ended),
        succeeded=complete is not None or (failed is not None and met),
        failed=failed is not None and not met,
        failing=failing is not None and failed is None and not met,
        reason=sys.intern(failing.get("reason", "")) if failing else "",
        message=failing.get("message", "") if failing else "",
        failed_indexes=frozenset(_indexes(status.get("failedIndexes", ""))),
        suspended=bool(spec.get("suspend")),
        deleted="deletionTimestamp" in metadata,
    )


def pod(raw: Raw) -> PodSnapshot:
    """A pod of a child Job."""
    metadata, status = raw["metadata"], raw.get("status", {})
    containers = {one["name"]: one.get("state", {}) for one in status.get("containerStatuses") or ()}
    state = containers.get(CONTAINER, {})
    terminated = state.get("terminated", {})
    return PodSnapshot(
        name=metadata["name"],
        job=_labels(raw).get(JOB_NAME_LABEL, ""),
        stage=sys.intern(_labels(raw).get(STAGE_LABEL, "")),
        attempt=_attempt(raw),
        index=_number(_labels(raw).get(INDEX_LABEL, "0")),
        phase=sys.intern(status.get("phase", "Pending")),
        node=sys.intern(raw.get("spec", {}).get("nodeName", "")),
        address=status.get("podIP", ""),
        started=_time(terminated.get("startedAt") or state.get("running", {}).get("startedAt")),
        exit_code=terminated.get("exitCode"),
        exit_reason=sys.intern(terminated.get("reason", "")),
        exit_message=terminated.get("message", "").strip(),
        disrupted=_disrupted(status, ended=bool(terminated)),
        waiting=_waiting(status),
        deleted="deletionTimestamp" in metadata,
        vanishes=_time(metadata.get("deletionTimestamp")),
        disruption=_disruption(status),
        marked=_marked(metadata),
        uid=metadata["uid"],
        unschedulable=_unschedulable(status),
    )


def owner_uid(raw: Raw) -> str:
    """The uid of the MusicTrainingJob that controls an object; empty where none does."""
    for reference in raw["metadata"].get("ownerReferences", ()):
        if (
            reference.get("controller")
            and reference["kind"] == KIND
            and reference["apiVersion"].startswith(f"{GROUP}/")
        ):
            uid: str = reference["uid"]
            return uid
    return ""


def compact(value: object) -> str:
    """JSON in one spelling, so that equal texts are equal values."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def _labels(raw: Raw) -> Mapping[str, str]:
    labels: Mapping[str, str] = raw["metadata"].get("labels") or {}
    return labels


def _attempt(raw: Raw) -> int:
    return max(0, _number(_labels(raw).get(ATTEMPT_LABEL, "0")))


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        return -1


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()


def _time(time: str | None) -> float | None:
    """Seconds since 1970; the kubelet writes 1970 itself for a container that never began."""
    return (_seconds(time) or None) if time else None


def _true(status: Raw) -> Iterator[Raw]:
    return (one for one in status.get("conditions") or () if one.get("status") == "True")


def _indexes(text: str) -> Iterator[int]:
    """``0,3-5`` is how a Job writes 0, 3, 4 and 5."""
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def _disrupted(status: Raw, *, ended: bool) -> str:
    """Why the pod was taken away: by its condition, or, where a kubelet turned it away at its door, by its reason."""
    for condition in _true(status):
        if condition["type"] == "DisruptionTarget":
            return condition.get("message") or condition.get("reason") or "DisruptionTarget"
    if status.get("phase") == "Failed" and not ended:
        return status.get("message") or status.get("reason") or ""
    return ""


def _disruption(status: Raw) -> str:
    """What took the pod away, in Kubernetes' word for it."""
    found = (one.get("reason", "") for one in _true(status) if one["type"] == "DisruptionTarget")
    return sys.intern(next(found, ""))


def _marked(metadata: Raw) -> tuple[str, str]:
    annotations = metadata.get("annotations") or {}
    return (annotations.get(CHECKPOINT_STEP_ANNOTATION, ""), annotations.get(CHECKPOINT_TIME_ANNOTATION, ""))


def _unschedulable(status: Raw) -> float | None:
    """Since when the scheduler has found no node; it says so again and again, and the time stays."""
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return _time(condition.get("lastTransitionTime")) if condition.get("reason") == "Unschedulable" else None
    return None


def _waiting(status: Raw) -> tuple[str, str]:
    if status.get("phase", "Pending") != "Pending":
        return ("", "")
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return (sys.intern(condition.get("reason", "")), condition.get("message", ""))
    for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        waiting = container.get("state", {}).get("waiting")
        if waiting:
            return (sys.intern(waiting.get("reason", "")), waiting.get("message", ""))
    return ("", "")
