"""How an attempt at a stage ended, from its Job and its pods: done, wrong as written, failed, or disrupted.

A stage's exit status tells whose fault an end is (``mtj_api.contract.ExitCode``); Kubernetes tells when a pod was taken
away. Invariant: a verdict is only passed once nothing that is still to come can change it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from mtj_api.contract import ExitCode
from mtj_operator.plan.observed import JobSnapshot, PodSnapshot
from mtj_operator.plan.story.seen import is_alive, is_lost
from mtj_operator.plan.story.words import OOM_KILLED, crash, taken_away, wrong_job

HEADED = "prepare"
"""The stage whose first pod does it and whose others help: it ends with the first, however the others fare."""

PODS_SEEN_WITHIN = 5.0
"""Seconds after the end of a Job within which the ends of its pods are seen too, as they come by another watch."""


class End(Enum):
    """What an attempt came to."""

    SUCCEEDED = auto()
    WRONG = auto()
    """It would fail in the same way again."""
    FAILED = auto()
    DISRUPTED = auto()
    """Something took it away; it did nothing wrong."""


@dataclass(frozen=True)
class Verdict:
    """How an attempt ended.

    Attributes:
        why: one sentence; empty where it succeeded.
        at: when it ended; not in the future, as it may be by a clock that is ahead of the operator's.
        out_of_memory: whether it failed because its memory ran out.
    """

    end: End
    why: str
    at: float
    out_of_memory: bool = False


@dataclass(frozen=True)
class Ending:
    """An attempt is over, and more is to be learned of how.

    Attributes:
        message: what is waited for.
        until: when the wait is over in any case.
    """

    message: str
    until: float | None = None


def judge(stage: str, job: JobSnapshot | None, pods: Sequence[PodSnapshot], now: float) -> Verdict | Ending | None:
    """The verdict on an attempt; ``None`` while it is under way.

    Args:
        stage: its name.
        job: its Job; ``None`` where there was one and it has vanished.
        pods: its pods.
        now: seconds since 1970.
    """
    if job is not None and job.succeeded:
        return Verdict(End.SUCCEEDED, "", now if job.ended is None else job.ended)
    headed = stage == HEADED
    deciding = [pod for pod in pods if pod.index == 0] if headed else list(pods)
    if headed and job is not None and _waits_for_lost_helpers(job, pods, now):
        return Verdict(End.SUCCEEDED, "", now)
    lost = any(is_lost(pod, now) for pod in deciding)
    held_back = job is not None and job.suspended  # its pods were told to end, and are made anew later
    decided = lost or (headed and not held_back and any(pod.phase == "Failed" for pod in deciding))
    if not decided and not _is_over(job, headed=headed):
        return None
    left = [pod for pod in deciding if is_alive(pod, now)]
    if left and not decided:
        return Ending(f"it has ended; waits for {left[0].name} to end too")
    known = decided or any(pod.phase == "Failed" for pod in deciding)
    if not known and job is not None and (job.failing or job.failed):
        until = job.ended + PODS_SEEN_WITHIN if job.failed and job.ended is not None else None
        if not job.failed or (until is not None and now < until):
            return Ending("it has failed", until)
    wrong = next((pod for pod in pods if pod.exit_code == ExitCode.WRONG_JOB), None)
    end, why = (End.WRONG, wrong_job(wrong.exit_message)) if wrong else _classify(stage, job, deciding, now)
    at = now if job is None or job.ended is None else min(now, job.ended)
    return Verdict(end, why, at, end is End.FAILED and any(_ran_out(pod) for pod in deciding))


def _ran_out(pod: PodSnapshot) -> bool:
    """Whether a pod's memory ran out: by the word of the kubelet, or of the stage itself."""
    return pod.exit_reason == OOM_KILLED or pod.exit_code == ExitCode.OUT_OF_MEMORY


def _is_over(job: JobSnapshot | None, *, headed: bool) -> bool:
    """Whether a Job that has not succeeded will not do so any more."""
    return job is None or job.failed or job.failing or job.deleted or (headed and 0 in job.failed_indexes)


def _waits_for_lost_helpers(job: JobSnapshot, pods: Sequence[PodSnapshot], now: float) -> bool:
    """Whether a stage is done, but its Job waits for helpers on nodes that do not answer: it would wait for ever."""
    done = not job.failed and _all_succeeded(HEADED, job, pods)
    return done and any(is_lost(pod, now) for pod in pods) and not any(is_alive(pod, now) for pod in pods)


def _classify(stage: str, job: JobSnapshot | None, pods: Sequence[PodSnapshot], now: float) -> tuple[End, str]:
    crashed = sorted((pod for pod in pods if _crashed(pod)), key=_telling)
    if crashed:
        pod = crashed[0]
        return End.FAILED, crash(stage, pod.exit_code, pod.exit_reason, pod.exit_message)
    if job is not None and not job.failed and _all_succeeded(stage, job, pods):
        return End.SUCCEEDED, ""
    disrupted = _disruption(pods, now)
    if not disrupted and job is not None:
        return _by_job_alone(stage, job)
    return End.DISRUPTED, disrupted or "its Job was deleted"


def _crashed(pod: PodSnapshot) -> bool:
    """Whether the stage failed in this pod by its own doing, which being killed while it is taken away is not."""
    if pod.exit_code in (None, ExitCode.DONE, ExitCode.INTERRUPTED, ExitCode.PEER_LOST) or pod.disrupted:
        return False
    killed = pod.exit_code in (137, 143) and pod.exit_reason != OOM_KILLED
    return not (killed and pod.deleted) and pod.exit_reason != "ContainerStatusUnknown"


def _telling(pod: PodSnapshot) -> tuple[bool, bool]:
    """Sorts those first that say best why a gang failed."""
    return (not _ran_out(pod), not pod.exit_message)


def _all_succeeded(stage: str, job: JobSnapshot, pods: Sequence[PodSnapshot]) -> bool:
    needed = {0} if stage == HEADED else set(range(job.pods))
    return needed <= {pod.index for pod in pods if pod.phase == "Succeeded"}


def _disruption(pods: Sequence[PodSnapshot], now: float) -> str:
    """What disrupted a gang, the cause before its consequences; empty where no pod tells of anything."""
    for pod in pods:
        if is_lost(pod, now):
            return f"the node {pod.node} of {pod.name} does not answer"
    for pod in pods:
        if pod.disrupted:
            return taken_away(pod.name, pod.disruption, pod.disrupted)
    for pod in pods:
        if pod.exit_code == ExitCode.INTERRUPTED:
            return f"{pod.name} was told to stop, and saved its work"
    for pod in pods:
        if pod.exit_code == ExitCode.PEER_LOST:
            return f"{pod.name} lost another process that it works with"
    return next((f"{pod.name} was ended from outside" for pod in pods if pod.phase == "Failed"), "")


def _by_job_alone(stage: str, job: JobSnapshot) -> tuple[End, str]:
    """A verdict where no pod is left to tell how it ended: by what the Job's controller made of its pods."""
    found = re.search(r"exit code (\d+)", job.message)
    code = int(found[1]) if found else None
    if code == ExitCode.WRONG_JOB:
        return End.WRONG, wrong_job("")
    if code not in (None, ExitCode.INTERRUPTED, ExitCode.PEER_LOST):
        return End.FAILED, crash(stage, code, "", "")
    if code is None and (job.reason in ("BackoffLimitExceeded", "FailedIndexes") or 0 in job.failed_indexes):
        return End.FAILED, crash(stage, None, "", "")
    return End.DISRUPTED, "its Job was deleted" if job.deleted else "its pods are gone"
