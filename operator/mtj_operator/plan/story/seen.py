"""The children of a job at one moment: which are its own, which pods may still do something, and which are lost.

Invariant: a pod counts as alive until it is known to have ended, because two attempts that write the same checkpoint
are worse than one that begins late.
"""

from __future__ import annotations

from dataclasses import dataclass

from mtj_operator.plan.objects import names
from mtj_operator.plan.observed import JobSnapshot, Observed, PodSnapshot
from mtj_operator.plan.stages import STAGES

LOST_AFTER = 30.0
"""Seconds after which a pod that should be gone is held to be lost with its node.

The kubelet of a node that lives confirms the end of a pod when the pod's grace is over. One that does not answer never
will, and a job that waited for it would end with the node. Where the node itself is known not to answer, nothing is
waited for.
"""


def has_ended(job: JobSnapshot) -> bool:
    """Whether a Job has come to its end, with all of its pods."""
    return job.succeeded or job.failed


def has_stopped(pod: PodSnapshot) -> bool:
    """Whether a pod's container has ended, for good."""
    return pod.phase in ("Succeeded", "Failed")


def is_lost(pod: PodSnapshot, now: float) -> bool:
    """Whether a pod that should go is on a node that is gone, or should have been gone for so long that it must be."""
    if has_stopped(pod) or not pod.deleted:
        return False
    return pod.silent or (pod.vanishes is not None and now >= pod.vanishes + LOST_AFTER)


def is_alive(pod: PodSnapshot, now: float) -> bool:
    """Whether a pod may still do something."""
    return not has_stopped(pod) and not is_lost(pod, now)


@dataclass(frozen=True)
class Seen:
    """What is observed of a job's children.

    Attributes:
        name: of the job.
        own: its Jobs by stage and attempt.
        strangers: names of Jobs with its labels that belong to another, such as an earlier job of the same name.
        rooms: its Jobs that look for room, by the attempt that they stand beside.
        pods: by the name of their Job, in the order of their indexes.
        alive: every pod that may still do something, whoever's it is; those that only hold room do nothing.
        refusals: by Job, why the cluster does not make it, or no pods for it.
        now: seconds since 1970.
    """

    name: str
    own: dict[tuple[str, int], JobSnapshot]
    strangers: frozenset[str]
    rooms: dict[int, JobSnapshot]
    pods: dict[str, tuple[PodSnapshot, ...]]
    alive: tuple[PodSnapshot, ...]
    refusals: dict[str, str]
    now: float

    def job(self, stage: str, attempt: int) -> JobSnapshot | None:
        """The Job of an attempt."""
        return self.own.get((stage, attempt))

    def pods_of(self, stage: str, attempt: int) -> tuple[PodSnapshot, ...]:
        """The pods of an attempt."""
        return self.pods.get(names.attempt(self.name, stage, attempt), ())

    def pods_of_room(self, attempt: int) -> tuple[PodSnapshot, ...]:
        """The pods that hold room for more nodes than an attempt has."""
        return self.pods.get(names.room(self.name, attempt), ())

    def refusal_of_room(self, attempt: int) -> str:
        """Why the cluster does not make what looks for room beside an attempt; empty where it does."""
        return self.refusals.get(names.room(self.name, attempt), "")

    def attempt_after(self, stage: str, attempt: int) -> int | None:
        """The next attempt at a stage that has a Job."""
        return min((made for of, made in self.own if of == stage and made > attempt), default=None)

    def lost_times(self) -> list[float]:
        """When pods that are on their way out will be held to be lost."""
        return [pod.vanishes + LOST_AFTER for pod in self.alive if pod.deleted and pod.vanishes is not None]


def look(observed: Observed, now: float) -> Seen:
    """Sort what is observed."""
    resource = observed.resource
    own = {
        attempt: job
        for job in observed.jobs
        if job.owner == resource.uid and (attempt := attempt_of(resource.name, job.name)) is not None
    }
    done = {job.name for job in own.values() if job.succeeded}
    pods: dict[str, list[PodSnapshot]] = {}
    for pod in sorted(observed.pods, key=lambda pod: (pod.index, pod.name)):
        pods.setdefault(pod.job, []).append(pod)
    return Seen(
        name=resource.name,
        own=own,
        strangers=frozenset(job.name for job in observed.jobs if job.owner != resource.uid),
        rooms={
            number: job
            for job in observed.jobs
            if job.owner == resource.uid and (number := _room(resource.name, job.name)) is not None
        },
        pods={job: tuple(found) for job, found in pods.items()},
        alive=tuple(
            pod
            for job, found in pods.items()
            if job not in done and _room(resource.name, job) is None
            for pod in found
            if is_alive(pod, now)
        ),
        refusals=observed.refusals,
        now=now,
    )


def attempt_of(name: str, job: str) -> tuple[str, int] | None:
    """Stage and attempt by the name of a Job, as its labels may have been edited; ``None`` for a name of no attempt."""
    stage, _, number = job.removeprefix(f"{name}-").rpartition("-")
    if stage not in STAGES or not number.isdecimal() or job != names.attempt(name, stage, int(number)):
        return None
    return stage, int(number)


def _room(name: str, job: str) -> int | None:
    """Beside which attempt a Job looks for room, by its name; ``None`` for another Job."""
    number = job.rpartition("-")[2]
    return int(number) if number.isdecimal() and job == names.room(name, int(number)) else None
