"""The turns of a job's story as Events, each told once: a key follows from what happened, not from when it was seen."""

from __future__ import annotations

from mtj_api.status import Condition, JobStatus, StageStatus
from mtj_operator.plan.story.decision import StoryEvent
from mtj_operator.plan.story.idling import GPUS_IDLE


def attempt_ended(before: StageStatus, after: StageStatus) -> StoryEvent:
    """An attempt that did not succeed.

    Args:
        before: the row with the attempt under way.
        after: the row once it is judged.
    """
    key = f"{before.name}-{before.attempt}-ended"
    if after.state == "Failed":
        return StoryEvent("StageFailed", f"{after.name}: {after.message}", True, key)
    reason = "Disrupted" if after.disruptions > before.disruptions else "Retrying"
    return StoryEvent(reason, f"{after.name}: {after.message}", True, key)


def turns(before: JobStatus, after: JobStatus) -> tuple[StoryEvent, ...]:
    """What happened between two statuses, beside attempts that ended badly."""
    generation = after.observed_generation
    told = []
    if before.state == "Suspended" and after.state not in ("Suspended", "Succeeded", "Failed"):
        told.append(StoryEvent("Resumed", "the job goes on", False, f"resumed-{generation}"))
    rows = {row.name: row for row in before.stages}
    for row in after.stages:
        told += _stage(rows.get(row.name, StageStatus(name=row.name)), row)
    idle = _idle(after)
    if idle is not None and _idle(before) is None:
        attempt = next((row.attempt for row in after.stages if row.name == "train"), 0)
        told.append(StoryEvent(GPUS_IDLE, f"train: {idle.message}", True, f"train-{attempt}-gpus-idle"))
    if after.state == before.state:
        return tuple(told)
    if after.state == "Suspended":
        told.append(StoryEvent("Suspended", after.message, False, f"suspended-{generation}"))
    if after.state == "Succeeded":
        told.append(StoryEvent("Succeeded", after.message, False, "succeeded"))
    if after.state == "Failed":
        reason = next((c.reason for c in after.conditions if c.type == "Succeeded"), "Failed")
        known = reason in ("WrongJob", "DeadlineExceeded", GPUS_IDLE)
        told.append(StoryEvent(reason if known else "Failed", after.message, True, "failed"))
    return tuple(told)


def _idle(status: JobStatus) -> Condition | None:
    return next((one for one in status.conditions if one.type == GPUS_IDLE and one.status == "True"), None)


def _stage(before: StageStatus, after: StageStatus) -> list[StoryEvent]:
    told = []
    started = after.state in ("Running", "Succeeded") and after.attempt > 0
    if started and (before.attempt != after.attempt or before.state not in ("Running", "Succeeded")):
        which = f" (attempt {after.attempt})" if after.attempt > 1 else ""
        told.append(
            StoryEvent("StageStarted", f"{after.name} runs{which}", False, f"{after.name}-{after.attempt}-started")
        )
    if after.state == "Succeeded" and before.state != "Succeeded":
        told.append(StoryEvent("StageSucceeded", f"{after.name} is done", False, f"{after.name}-succeeded"))
    return told
