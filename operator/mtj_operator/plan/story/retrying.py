"""After the end of an attempt: whether the stage is tried again, when, or why not.

Invariant: budgets are counted in the status, so that neither a restart of the operator nor the loss of a child gives
a stage more tries than the job allows.
"""

from __future__ import annotations

import math

from mtj_api.spec.scheduling import Retries
from mtj_api.status import StageStatus
from mtj_operator.plan.story.clock import rfc3339
from mtj_operator.plan.story.verdict import End, Verdict
from mtj_operator.plan.story.words import times

FIRST_PAUSE = 10.0
"""Seconds before the next attempt after a second failure that came quickly; each further pause is twice as long."""

FIRST_PAUSE_DISRUPTED = 2.0
"""The same after a second disruption: what takes pods away is seldom helped by waiting."""

LONGEST_PAUSE = 300.0

QUICK = 300.0
"""An attempt that ended within so many seconds came to little."""


def after(row: StageStatus, verdict: Verdict, lasted: float | None, retries: Retries) -> tuple[StageStatus, str]:
    """The stage's row after an attempt that did not succeed, and in one word what became of it.

    Args:
        row: the stage, with the attempt under way.
        verdict: how that ended.
        lasted: for how many seconds it went on, where that is known.
        retries: the job's budgets.
    """
    quick = 0 if lasted is not None and lasted >= QUICK else (row.quick_ends or 0) + 1
    row = row.model_copy(update={"out_of_memory": verdict.out_of_memory or None, "quick_ends": quick or None})
    if verdict.end == End.WRONG:
        return _failed(row, verdict, verdict.why), "WrongJob"
    if verdict.end == End.FAILED:
        count, budget = row.retries + 1, budget_of(row.name, retries)
        row = row.model_copy(update={"retries": count})
        if count > budget:
            told = verdict.why if count == 1 else f"it failed {times(count)}, the last time: {verdict.why}"
            return _failed(row, verdict, told), "StageFailed"
        told = f"attempt {row.attempt} failed: {verdict.why}"
        seconds = pause(quick, FIRST_PAUSE)
        return _retrying(row, verdict, seconds, f"{told} (retry {count} of {budget})"), ""
    count, budget = row.disruptions + 1, retries.disruptions
    row = row.model_copy(update={"disruptions": count})
    if count > budget:
        told = f"it was disrupted {times(count)}, more than scheduling.retries.disruptions allows; the last time: "
        told += verdict.why
        return _failed(row, verdict, told), "TooManyDisruptions"
    seconds = pause(quick, FIRST_PAUSE_DISRUPTED)
    return _retrying(row, verdict, seconds, f"attempt {row.attempt} was disrupted: {verdict.why}"), ""


def after_suspension(row: StageStatus, verdict: Verdict) -> StageStatus:
    """The stage's row after an attempt whose Job was suspended, which counts nothing: its queue holds the next."""
    row = row.model_copy(update={"out_of_memory": None})
    return _retrying(row, verdict, 0.0, f"attempt {row.attempt} ended as its Job was suspended: {verdict.why}")


def pause(quick: int, second: float) -> float:
    """Seconds to wait after an attempt that did not succeed, as the kubelet waits before it restarts a container.

    What ended once, or after long work, is likely to go on when it is tried again. What ends quickly time after time is
    not, and waits longer each time.

    Args:
        quick: attempts in a row that came to little, up to this one.
        second: the pause after the second of them.
    """
    return 0.0 if quick <= 1 else min(LONGEST_PAUSE, second * 2.0 ** min(quick - 2, 30))


def budget_of(stage: str, retries: Retries) -> int:
    """How many failures of a stage are forgiven."""
    return {"prepare": retries.prepare, "train": retries.train}.get(stage, retries.evaluate)


def _failed(row: StageStatus, verdict: Verdict, message: str) -> StageStatus:
    return row.model_copy(
        update={"state": "Failed", "completion_time": rfc3339(verdict.at), "retry_time": None, "message": message}
    )


def _retrying(row: StageStatus, verdict: Verdict, seconds: float, message: str) -> StageStatus:
    due = rfc3339(math.ceil(verdict.at + seconds) if seconds else verdict.at)
    message += f"; it is tried again at {due if seconds else 'once'}"
    return row.model_copy(update={"state": "Retrying", "retry_time": due, "message": message})
