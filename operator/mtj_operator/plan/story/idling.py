"""GPUs that a training holds and does not use: whether they are idle, and what ``scheduling.idleGpus`` makes of it.

Training itself measures for how long; the bound and what follows are the job's. A suspension by the operator is in the
status, as the spec is the user's: it holds for the version of the spec that it was made for, and any later one ends it.
Invariant: only the attempt under way is judged, by what it told itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, auto

from mtj_api.spec.scheduling import IdleGpus
from mtj_api.status import Condition, StageStatus, Suspension
from mtj_operator.plan.observed import TrainingProgress
from mtj_operator.plan.story.clock import rfc3339
from mtj_operator.plan.story.conditions import Fact
from mtj_operator.plan.story.seen import Seen

GPUS_IDLE = "GPUsIdle"
"""The condition, and the reason of what follows from it."""


class Use(Enum):
    """What is known of the GPUs of a training."""

    UNKNOWN = auto()
    """Nothing: no training is under way, it has told nothing yet, or it has no GPUs that tell."""
    IN_USE = auto()
    IDLE = auto()


def use_of(policy: IdleGpus, told: TrainingProgress | None, row: StageStatus, seen: Seen) -> Use:
    """Whether the attempt that is under way leaves a GPU idle.

    Args:
        policy: the job's.
        told: the latest that a training of the job has told.
        row: of the stage that comes next.
        seen: the job's children.
    """
    is_under_way = row.name == "train" and row.state in ("Pending", "Running")
    if not is_under_way or told is None or told.gpu_idle is None:
        return Use.UNKNOWN
    job = seen.job(row.name, row.attempt)
    if job is None or told.job != job.name or told.gpu_idle.below != policy.below_percent:
        return Use.UNKNOWN
    return Use.IDLE if told.gpu_idle.seconds >= policy.seconds else Use.IN_USE


def complaint(policy: IdleGpus) -> str:
    """What is wrong with a training whose GPUs are idle; the same for as long as they are."""
    return (
        f"a GPU of its first pod was used less than {policy.below_percent} % for the {policy.seconds} s of "
        "scheduling.idleGpus"
    )


def suspension(policy: IdleGpus, generation: int, now: float) -> Suspension:
    """The operator's suspension of a job at a version of its spec."""
    return Suspension(reason=GPUS_IDLE, message=complaint(policy), since=rfc3339(now), generation=generation)


def lasting(before: Suspension | None, generation: int) -> Suspension | None:
    """The operator's suspension, unless the spec was changed since."""
    return before if before is not None and before.generation == generation else None


def idling_facts(
    use: Use, policy: IdleGpus, suspended: Suspension | None, train: StageStatus | None, before: Iterable[Condition]
) -> tuple[Fact, ...]:
    """The condition ``GPUsIdle``: nothing for a job that never told of GPUs, or while nothing new is known.

    Args:
        use: of the GPUs.
        policy: the job's.
        suspended: the operator's suspension.
        train: the row of training; ``None`` in a job without.
        before: the conditions as they are written.
    """
    if suspended is not None:
        return (Fact(GPUS_IDLE, "True", "Suspended", suspended.message),)
    if use is Use.IDLE:
        return (Fact(GPUS_IDLE, "True", "Idle", complaint(policy)),)
    if use is Use.IN_USE:
        return (Fact(GPUS_IDLE, "False", "InUse", ""),)
    return () if train is not None and train.state == "Running" else none_held(before)


def none_held(before: Iterable[Condition]) -> tuple[Fact, ...]:
    """The condition ``GPUsIdle`` while nothing trains, as at the end; nothing for a job that never told of GPUs."""
    return (Fact(GPUS_IDLE, "False", "NotTraining", ""),) if any(one.type == GPUS_IDLE for one in before) else ()
