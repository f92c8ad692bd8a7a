"""The course of one stage: its attempts one after the other, as a state machine over its row of the status.

A row points at an attempt, which is *under way* (``Pending``, ``Running``) or *over* (all other states; also attempt 0,
before the first). Invariants:

- An attempt that is over stays so, and what it counted is counted once: the row says so before its Job is deleted.
- The next attempt has the next number. Its Job is made only when nothing of any other can still write.
"""

from __future__ import annotations

from dataclasses import dataclass

from mtj_api.spec import Scheduling
from mtj_api.status import JobState, StageStatus, Suspension
from mtj_operator.plan.objects import names
from mtj_operator.plan.observed import JobSnapshot, PodSnapshot
from mtj_operator.plan.story.clock import rfc3339, seconds_of
from mtj_operator.plan.story.decision import StoryEvent
from mtj_operator.plan.story.retrying import after, after_suspension
from mtj_operator.plan.story.seen import Seen, has_ended, is_lost
from mtj_operator.plan.story.telling import attempt_ended
from mtj_operator.plan.story.verdict import End, Ending, Verdict, judge
from mtj_operator.plan.story.waiting import standing


@dataclass(frozen=True)
class Settled:
    """A row brought up to what is seen.

    Attributes:
        reason: in one word, why the stage failed for good; empty where it did not.
        events: of attempts that ended.
        ending: of the attempt under way, if it is about to end.
    """

    row: StageStatus
    reason: str = ""
    events: tuple[StoryEvent, ...] = ()
    ending: Ending | None = None


@dataclass(frozen=True)
class Turn:
    """What comes next in a stage that is not done.

    Attributes:
        state: of the job.
        reason: the same in one word, for conditions.
        make: the attempt whose children are to be made; 0 for none.
        wake: when to look again though nothing happens.
    """

    row: StageStatus
    state: JobState
    reason: str
    message: str
    make: int = 0
    wake: float | None = None


def is_under_way(row: StageStatus) -> bool:
    """Whether the attempt that a row points at may still come to something."""
    return row.state in ("Pending", "Running") and row.attempt > 0


def settle(row: StageStatus, seen: Seen, scheduling: Scheduling) -> Settled:
    """Judge the attempt under way; take up later ones that were made without the status saying so, and judge those."""
    events: list[StoryEvent] = []
    while row.state != "Failed":
        job, pods = seen.job(row.name, row.attempt), seen.pods_of(row.name, row.attempt)
        if job is not None and job.succeeded:
            return Settled(_succeeded(_with_start(row, job, pods), job, seen.now), events=tuple(events))
        if is_under_way(row):
            row = _with_start(row, job, pods)
            if job is None and row.state == "Pending" and not any(is_lost(pod, seen.now) for pod in pods):
                return Settled(row, events=tuple(events))
            verdict = judge(row.name, job, pods, seen.now)
            if not isinstance(verdict, Verdict):
                return Settled(row, events=tuple(events), ending=verdict)
            if verdict.end == End.SUCCEEDED:
                return Settled(_succeeded(row, job, verdict.at), events=tuple(events))
            before = row
            if verdict.end == End.DISRUPTED and _is_suspended(job):
                row, reason = after_suspension(row, verdict), ""
            else:
                row, reason = after(row, verdict, _lasted(job, pods, verdict), scheduling.retries)
            events.append(attempt_ended(before, row))
            if row.state == "Failed":
                return Settled(row, reason, tuple(events))
        made = seen.attempt_after(row.name, row.attempt)
        if made is None:
            return Settled(row, events=tuple(events))
        row = _pointing_at(row, made)
    return Settled(row, "StageFailed")


def go_on(
    settled: Settled,
    seen: Seen,
    scheduling: Scheduling,
    image: str,
    waits: str = "",
    suspension: Suspension | None = None,
) -> Turn:
    """What comes next in a stage that has neither succeeded nor failed.

    Args:
        settled: the stage.
        seen: the job's children.
        scheduling: the job's.
        image: of the pods.
        waits: for which other jobs no attempt can be made yet, in words; empty for none.
        suspension: the operator's own; ``None`` while there is none.
    """
    row = settled.row
    if scheduling.suspend:
        return _suspend(row, seen, "is suspended; it goes on once scheduling.suspend is false")
    if suspension is not None:
        why = f"is suspended, since {suspension.message}; it goes on once its spec is changed, whatever is changed"
        return _suspend(row, seen, why)
    if is_under_way(row) and settled.ending is not None:
        row = row.model_copy(update={"message": settled.ending.message})
        return Turn(row, "Running", "Running", row.message, wake=settled.ending.until)
    attempt = row.attempt if is_under_way(row) else row.attempt + 1
    job = seen.job(row.name, attempt)
    if job is None:
        turn = _held_back(row, attempt, seen, waits)
        if turn is not None:
            return turn
    pods = seen.pods_of(row.name, attempt)
    refusal = seen.refusals.get(names.attempt(seen.name, row.name, attempt), "")
    found = standing(row.name, job, pods, refusal, scheduling, image)
    row = _pointing_at(row, attempt) if attempt != row.attempt else row
    row = row.model_copy(
        update={"state": "Running" if found.state == "Running" else "Pending", "message": found.message}
    )
    return Turn(row, found.state, found.state, found.message, make=0 if job is not None else attempt)


def _held_back(row: StageStatus, attempt: int, seen: Seen, waits: str) -> Turn | None:
    """Why the Job of an attempt cannot be made yet; ``None`` where nothing speaks against it."""
    if waits:
        return Turn(_held(row, waits), "Pending", "WaitingForJob", waits)
    due = seconds_of(row.retry_time)
    if row.state == "Retrying" and due is not None and seen.now < due:
        return Turn(row, "Pending", "Retrying", row.message, wake=due)
    why = _in_the_way(row, attempt, seen)
    return Turn(_held(row, why), "Pending", "Pending" if row.attempt == 0 else "Retrying", why) if why else None


def _in_the_way(row: StageStatus, attempt: int, seen: Seen) -> str:
    """What may still write, or has the name that is needed; empty for nothing."""
    name = names.attempt(seen.name, row.name, attempt)
    if name in seen.strangers:
        return f"waits for the Job {name} of an earlier job of this name to be deleted"
    if name in seen.pods:
        return f"waits for {seen.pods[name][0].name} to be gone, whose name is needed again"
    if seen.alive:
        pod = seen.alive[0]
        more = f" and {len(seen.alive) - 1} more" if len(seen.alive) > 1 else ""
        return f"waits for {pod.name}{more} to end before the next attempt"
    left = next((job for job in _unfinished(row, seen) if job.attempt < attempt), None)
    return f"waits for {left.name} to be deleted" if left is not None else ""


def _suspend(row: StageStatus, seen: Seen, message: str) -> Turn:
    """Suspend the stage; ``message`` says so once nothing of it is left."""
    row = row.model_copy(update={"state": "Suspended", "retry_time": None})
    if seen.alive or any(_unfinished(row, seen)):
        ending = "is being suspended: waits for its pods to save their work and end"
        return Turn(row.model_copy(update={"message": ending}), "Running", "Suspending", ending)
    return Turn(row.model_copy(update={"message": message}), "Suspended", "Suspended", message)


def _held(row: StageStatus, why: str) -> StageStatus:
    """The row while its next attempt is held back: one that is tried again keeps saying why."""
    if row.attempt == 0 or row.state == "Pending":
        return row.model_copy(update={"state": "Pending", "message": why})
    return row if row.state == "Retrying" else row.model_copy(update={"state": "Retrying", "message": why})


def _unfinished(row: StageStatus, seen: Seen) -> list[JobSnapshot]:
    return [job for (stage, _), job in seen.own.items() if stage == row.name and not has_ended(job)]


def _is_suspended(job: JobSnapshot | None) -> bool:
    """Whether a Job is held back, by which Kueue preempts, and not on its way out; its pods' ends may fail it."""
    return job is not None and job.suspended and not job.deleted


def _pointing_at(row: StageStatus, attempt: int) -> StageStatus:
    return row.model_copy(update={"state": "Pending", "attempt": attempt, "retry_time": None, "message": ""})


def _succeeded(row: StageStatus, job: JobSnapshot | None, at: float) -> StageStatus:
    ended = job.ended if job is not None and job.ended is not None else at
    return row.model_copy(
        update={
            "state": "Succeeded",
            "completion_time": rfc3339(ended),
            "retry_time": None,
            "out_of_memory": None,
            "quick_ends": None,
            "message": "",
        }
    )


def _with_start(row: StageStatus, job: JobSnapshot | None, pods: tuple[PodSnapshot, ...]) -> StageStatus:
    if row.start_time is not None:
        return row
    started = min((pod.started for pod in pods if pod.started is not None), default=None)
    if started is None and job is not None and has_ended(job):
        started = job.started
    return row if started is None else row.model_copy(update={"start_time": rfc3339(started)})


def _lasted(job: JobSnapshot | None, pods: tuple[PodSnapshot, ...], verdict: Verdict) -> float | None:
    """For how many seconds an attempt went on; what it waited for a place or in a queue is not among them.

    Both times are the cluster's where it has them: the operator's clock may differ from its clocks.
    """
    began = min((pod.started for pod in pods if pod.started is not None), default=job.created if job else None)
    ended = verdict.at if job is None or job.ended is None else job.ended
    return None if began is None else ended - began
