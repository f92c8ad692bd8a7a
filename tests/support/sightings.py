"""What may be seen of a job on a cluster, made by hand: its resource, Jobs and pods in any state, at one moment."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from mtj_api.status import JobStatus, StageStatus
from mtj_operator.plan import STAGES
from mtj_operator.plan.observed import JobSnapshot, Observed, PodSnapshot, Resource
from support.stories import spec

NOW = 1_767_225_600.0
"""2026-01-01T00:00:00Z."""

UID = "uid-of-this-job"


def resource(**parts: Any) -> Resource:
    """The job ``chorales``; ``spec`` and ``status`` may be given as they are in Python."""
    found = {"spec": spec(), "status": {}, "generation": 1, "deleted": False, **parts}
    if isinstance(found["status"], JobStatus):
        found["status"] = json.loads(found["status"].model_dump_json(by_alias=True, exclude_none=True))
    for field in ("spec", "status"):
        found[field] = found[field] if isinstance(found[field], str) else json.dumps(found[field])
    return Resource(namespace="music", name="chorales", uid=UID, version="7", created=NOW - 3600, **found)


def status(current: StageStatus, **parts: Any) -> JobStatus:
    """A status in which the stages before one are done."""
    before = STAGES.index(current.name)
    rows = [StageStatus(name=name, state="Succeeded", attempt=1) for name in STAGES[:before]]
    rows += [current, *(StageStatus(name=name) for name in STAGES[before + 1 :])]
    return JobStatus(observed_generation=1, stage=current.name, stages=rows, **parts)


def train(state: str = "Running", attempt: int = 1, **parts: Any) -> StageStatus:
    """The row of training."""
    return StageStatus.model_validate({"name": "train", "state": state, "attempt": attempt, **parts})


def job(stage: str = "train", attempt: int = 1, **parts: Any) -> JobSnapshot:
    """A Job of the job with two pods, under way for a minute."""
    found = JobSnapshot(
        name=f"chorales-{stage}-{attempt}",
        uid=f"uid-of-{stage}-{attempt}",
        owner=UID,
        stage=stage,
        attempt=attempt,
        pods=2,
        created=NOW - 60,
        started=NOW - 60,
    )
    return replace(found, **parts)


def failed(stage: str = "train", attempt: int = 1, **parts: Any) -> JobSnapshot:
    """The same, failed this moment."""
    return job(stage, attempt, **{"failed": True, "ended": NOW, "reason": "PodFailurePolicy", **parts})


def pod(index: int = 0, stage: str = "train", attempt: int = 1, **parts: Any) -> PodSnapshot:
    """A pod of such a Job, running for half a minute."""
    found = PodSnapshot(
        name=f"chorales-{stage}-{attempt}-{index}",
        job=f"chorales-{stage}-{attempt}",
        stage=stage,
        attempt=attempt,
        index=index,
        phase="Running",
        node=f"node-{index}",
        started=NOW - 30,
    )
    return replace(found, **parts)


def ended(code: int, message: str = "", index: int = 0, **parts: Any) -> PodSnapshot:
    """A pod that ended."""
    phase = "Succeeded" if code == 0 else "Failed"
    return pod(index, **{"phase": phase, "exit_code": code, "exit_message": message, **parts})


def seen(status: JobStatus | None = None, *children: JobSnapshot | PodSnapshot, **parts: Any) -> Observed:
    """All of it together; ``parts`` are the resource's."""
    return Observed(
        resource=resource(**({"status": status} if status is not None else {}), **parts),
        jobs=tuple(child for child in children if isinstance(child, JobSnapshot)),
        pods=tuple(child for child in children if isinstance(child, PodSnapshot)),
    )
