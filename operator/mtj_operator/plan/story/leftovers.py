"""What is left of attempts that are over, by the status as it stands: Jobs to delete, with the time when, and pods.

Invariant: nothing is deleted whose end is not yet in the status; the Job under way is never among it.
"""

from __future__ import annotations

from collections.abc import Iterator

from mtj_api.status import JobStatus, StageStatus
from mtj_operator.plan.observed import JobSnapshot, PodSnapshot
from mtj_operator.plan.story.clock import seconds_of
from mtj_operator.plan.story.seen import Seen, attempt_of, has_ended, has_stopped, is_alive, is_lost
from mtj_operator.plan.story.verdict import HEADED

KEPT = 2
"""Attempts at a stage that are kept for their logs, the latest ones: a job may live through a hundred disruptions."""

LOOKS_AGAIN_AFTER = 60.0
"""Seconds for which a Job that looked for room stays after its end, and no other is made: one that fails at once must
not be made again and again."""

TO_END_BY_ITSELF = 30.0
"""Seconds for the rest of a failed Job's pods to end by themselves, as deleting the Job deletes its log too."""

GRACE_WITHOUT_A_PEER = 10
"""Seconds for pods that train to end once the node of one of them is lost.

They wait for it in the middle of a step, so there is no more of it to save: only a checkpoint that is all but stored.
"""


def leftovers(status: JobStatus, seen: Seen) -> Iterator[tuple[JobSnapshot, float]]:
    """Jobs that are no longer wanted, and from when on they may be deleted, in seconds since 1970."""
    rows = {row.name: row for row in status.stages}
    final = status.state in ("Succeeded", "Failed")
    for (stage, attempt), job in seen.own.items():
        row = rows.get(stage, StageStatus(name=stage))
        if job.deleted:
            continue
        if has_ended(job):
            if attempt <= row.attempt - KEPT:
                yield job, 0.0
        elif final:
            ended = seconds_of(status.completion_time)
            yield job, ended + TO_END_BY_ITSELF if ended is not None and _is_ending(job, stage, seen) else 0.0
        elif _is_over(row, attempt):
            retry = seconds_of(row.retry_time) if row.state == "Retrying" else None
            yield job, retry + TO_END_BY_ITSELF if retry is not None and _is_ending(job, stage, seen) else 0.0
    train = rows.get("train", StageStatus(name="train"))
    for attempt, room in seen.rooms.items():
        if room.deleted:
            continue
        if final or not _may_grow(train, attempt):
            yield room, 0.0
        elif has_ended(room):
            yield room, (room.created if room.ended is None else room.ended) + LOOKS_AGAIN_AFTER


def cut_off_pods(status: JobStatus, seen: Seen) -> Iterator[tuple[PodSnapshot, int]]:
    """Pods of attempts that are over, on nodes that are known not to answer, and those that train with them, each with
    the seconds that it may still take.

    No kubelet will ever confirm the end of the first, and until somebody takes them away they count against quotas, and
    a job that is made anew waits for their names. The others would wait for them as long as their own grace lets them.
    """
    rows = {row.name: row for row in status.stages}
    for job, pods in seen.pods.items():
        found = attempt_of(seen.name, job)
        if found is not None and _may_count(rows.get(found[0], StageStatus(name=found[0])), found, seen):
            continue
        lost = [pod for pod in pods if pod.silent and is_lost(pod, seen.now)]
        yield from ((pod, 0) for pod in lost)
        if lost and found is not None and found[0] == "train":
            yield from ((pod, GRACE_WITHOUT_A_PEER) for pod in pods if _takes_longer(pod, seen.now))


def _takes_longer(pod: PodSnapshot, now: float) -> bool:
    """Whether a pod that may still do something could go on for longer than it is worth without its peer."""
    return is_alive(pod, now) and (pod.vanishes is None or pod.vanishes > now + GRACE_WITHOUT_A_PEER)


def _may_grow(train: StageStatus, attempt: int) -> bool:
    """Whether what looks for room beside an attempt is wanted; it holds the room until the next attempt is there."""
    return train.attempt == attempt and train.state in ("Pending", "Running", "Retrying")


def _is_over(row: StageStatus, attempt: int) -> bool:
    """Whether nothing is expected of an attempt any more."""
    if row.state in ("Succeeded", "Failed"):
        return True
    return attempt < row.attempt or (attempt == row.attempt and row.state in ("Retrying", "Suspended"))


def _may_count(row: StageStatus, found: tuple[str, int], seen: Seen) -> bool:
    """Whether something may yet follow from the end of an attempt's pods.

    Nothing does from those of an attempt that is still to come and has no Job: an earlier job of this name left them.
    """
    _, attempt = found
    return not _is_over(row, attempt) and (attempt <= row.attempt or found in seen.own)


def _is_ending(job: JobSnapshot, stage: str, seen: Seen) -> bool:
    """Whether a Job's other pods are told to end, or notice it: of preparing, when its first pod has ended."""
    heads = [pod for pod in seen.pods.get(job.name, ()) if pod.index == 0]
    headless = stage == HEADED and bool(heads) and all(has_stopped(pod) for pod in heads)
    return job.failing or 0 in job.failed_indexes or headless
