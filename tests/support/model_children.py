"""Jobs and pods of a cluster in memory, and how they are seen."""

from __future__ import annotations

from dataclasses import dataclass, field

from mtj_operator.plan.observed import JobSnapshot, PodSnapshot
from support.fates import Fate

GRACE = 120.0
"""Seconds that a pod may take to stop."""

SILENT_AFTER = 60.0
"""Seconds after which a node that does not answer is known not to."""


@dataclass
class Pod:
    """A pod."""

    name: str
    job: Job
    index: int
    fate: Fate
    phase: str = "Pending"
    started: float | None = None
    exit: tuple[int, str, str] | None = None
    disrupted: str = ""
    deleted: float | None = None
    lost: bool = False
    silent: bool = False
    created: float = 0.0

    @property
    def stopped(self) -> bool:
        """Whether it has ended."""
        return self.phase in ("Succeeded", "Failed")

    @property
    def ripe(self) -> bool:
        """Whether it is going to start or to end."""
        if self.stopped:
            return False
        if self.lost:
            return self.fate.silent and not self.silent
        if self.phase == "Pending":
            return self.deleted is not None or not self.fate.waiting[0]
        return self.deleted is not None or self.fate.code is not None or bool(self.fate.disrupted) or self.fate.lost


@dataclass(eq=False)
class Job:
    """A Job with its conditions."""

    name: str
    uid: str
    owner: str
    stage: str
    attempt: int
    pods: int
    created: float
    suspended: bool
    headed: bool
    started: float | None = None
    ended: float | None = None
    state: str = ""
    reason: str = ""
    message: str = ""
    failed_indexes: set[int] = field(default_factory=set)
    made: int = 0


def snapshot_of_job(job: Job) -> JobSnapshot:
    """What is seen of a Job."""
    return JobSnapshot(
        name=job.name,
        uid=job.uid,
        owner=job.owner,
        stage=job.stage,
        attempt=job.attempt,
        pods=job.pods,
        created=job.created,
        started=job.started,
        ended=job.ended,
        succeeded=job.state == "Complete",
        failed=job.state == "Failed",
        failing=job.state == "FailureTarget",
        reason=job.reason,
        message=job.message,
        failed_indexes=frozenset(job.failed_indexes),
        suspended=job.suspended,
    )


def snapshot_of_pod(pod: Pod) -> PodSnapshot:
    """What is seen of a pod."""
    code, message, reason = pod.exit or (None, "", "")
    nowhere = pod.phase == "Pending" and pod.fate.waiting[0] == "Unschedulable"
    return PodSnapshot(
        name=pod.name,
        job=pod.job.name,
        stage=pod.job.stage,
        attempt=pod.job.attempt,
        index=pod.index,
        phase=pod.phase,
        node="" if nowhere else f"node-{pod.index}",
        started=pod.started,
        exit_code=code,
        exit_message=message,
        exit_reason=reason,
        disrupted=pod.disrupted,
        waiting=pod.fate.waiting if pod.phase == "Pending" else ("", ""),
        deleted=pod.deleted is not None,
        vanishes=None if pod.deleted is None else pod.deleted + GRACE,
        uid=f"uid-of-{pod.name}",
        unschedulable=pod.created if nowhere else None,
        silent=pod.silent,
    )
