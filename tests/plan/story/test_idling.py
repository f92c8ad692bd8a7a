"""``scheduling.idleGpus``: a training that holds GPUs and does not use them is told of, suspended or ended."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mtj_api.status import JobStatus, StageStatus
from mtj_operator.plan.observed import GpuIdleness, JobSnapshot, PodSnapshot, TrainingProgress
from mtj_operator.plan.story import Decision, decide
from support.sightings import NOW, ended, job, pod, seen, status, train
from support.stories import SETTINGS, spec

TOLD = TrainingProgress("chorales-train-1", NOW, 430, 1000, 2.5, 1200.0, 570.0, 400, "s3://music/out/checkpoints/400")
RUNNING = (job(), pod(), pod(1))
COMPLAINT = "a GPU of its first pod was used less than 10 % for the 1800 s of scheduling.idleGpus"


def told(seconds: float | None, below: int = 10, **more: Any) -> TrainingProgress:
    return replace(TOLD, gpu_idle=None if seconds is None else GpuIdleness(below, seconds), **more)


def after(
    progress: TrainingProgress | None,
    before: JobStatus | None = None,
    *children: JobSnapshot | PodSnapshot,
    generation: int = 1,
    **scheduling: Any,
) -> Decision:
    found = seen(before or status(train()), *(children or RUNNING), spec=spec(scheduling=scheduling))
    found = replace(found, resource=replace(found.resource, generation=generation), progress=progress)
    return decide(found, SETTINGS, NOW)


def fact(decision: Decision, type: str = "GPUsIdle") -> tuple[str, str] | None:  # noqa: A002 - its name there
    return next(((one.status, one.reason) for one in decision.status.conditions if one.type == type), None)


@pytest.mark.parametrize(
    ("progress", "expected"),
    [
        pytest.param(None, None, id="nothing told yet"),
        pytest.param(told(None), None, id="no GPU that tells"),
        pytest.param(told(0.0), ("False", "InUse"), id="in use"),
        pytest.param(told(1799.9), ("False", "InUse"), id="not for long enough"),
        pytest.param(told(1800.0), ("True", "Idle"), id="idle"),
        pytest.param(told(1800.0, below=50), None, id="asked about another bound"),
        pytest.param(told(1800.0, job="chorales-train-7"), None, id="another attempt"),
    ],
)
def test_when_gpus_are_idle(progress: TrainingProgress | None, expected: tuple[str, str] | None) -> None:
    assert fact(after(progress)) == expected


def test_the_bounds_are_the_jobs() -> None:
    policy: Any = {"belowPercent": 50, "seconds": 60}
    assert fact(after(told(60.0, below=50), idleGpus=policy)) == ("True", "Idle")
    assert fact(after(told(59.0, below=50), idleGpus=policy)) == ("False", "InUse")


def test_a_warning_is_told_once_and_leaves_the_job_alone() -> None:
    first = after(told(1800.0))
    assert (first.status.state, first.deletions) == ("Running", ())
    assert [(event.reason, event.message, event.warning) for event in first.events] == [
        ("GPUsIdle", f"train: {COMPLAINT}", True)
    ]
    second = after(told(1815.0), first.status)
    assert (second.status, second.events) == (first.status, ())
    again = after(told(0.0), second.status)
    assert (fact(again), again.events) == (("False", "InUse"), ())
    (event,) = after(told(1800.0), again.status).events
    assert event.key == first.events[0].key  # so that the API server has it already


def test_what_was_known_stays_until_more_is_told() -> None:
    idle = after(told(1800.0))
    assert fact(after(None, idle.status)) == ("True", "Idle")
    retried = after(None, idle.status, job(failed=True, ended=NOW), ended(1), ended(1, index=1))
    assert fact(retried) == ("False", "NotTraining")


def test_a_job_may_be_ended_and_holds_no_gpus_then() -> None:
    in_use = after(told(0.0)).status
    decision = after(told(1800.0), in_use, idleGpus={"action": "fail"})
    assert decision.status.state == "Failed"
    assert decision.status.message == f"train: {COMPLAINT}; what it saved so far stays"
    assert (fact(decision, "Stalled"), fact(decision)) == (("True", "GPUsIdle"), ("False", "NotTraining"))
    assert [event.reason for event in decision.events] == ["GPUsIdle"]
    (deletion,) = after(None, decision.status).deletions
    assert deletion.name == "chorales-train-1"


SUSPENDS: dict[str, Any] = {"idleGpus": {"action": "suspend"}}


def suspended() -> JobStatus:
    """A job that the operator has suspended, and whose pods have ended."""
    first = after(told(1800.0), **SUSPENDS)
    return after(told(1815.0), first.status, ended(75), ended(75, index=1), **SUSPENDS).status


def test_a_suspension_saves_the_work_and_is_in_the_status() -> None:
    first = after(told(1800.0), **SUSPENDS)
    assert (first.status.state, fact(first, "Reconciling")) == ("Running", ("True", "Suspending"))
    assert [deletion.name for deletion in after(told(1815.0), first.status, **SUSPENDS).deletions] == [
        "chorales-train-1"
    ]
    found = suspended()
    assert found.state == "Suspended"
    assert found.message == (
        f"train: is suspended, since {COMPLAINT}; it goes on once its spec is changed, whatever is changed"
    )
    assert found.suspension is not None
    assert (found.suspension.reason, found.suspension.generation) == ("GPUsIdle", 1)


def test_a_suspension_lasts_for_as_long_as_the_spec_stays() -> None:
    found = suspended()
    decision = after(None, found, pod(0, phase="Succeeded"), deadlineSeconds=1, **SUSPENDS)
    assert (decision.status.state, decision.children) == ("Suspended", ())
    assert fact(decision) == ("True", "Suspended")


@pytest.mark.parametrize(
    "scheduling",
    [
        pytest.param({"idleGpus": {"action": "warn"}}, id="another policy"),
        pytest.param({**SUSPENDS, "suspend": False}, id="suspended and resumed"),
    ],
)
def test_any_change_of_the_spec_lets_it_go_on(scheduling: dict[str, Any]) -> None:
    decision = after(told(1815.0), suspended(), ended(75), generation=2, **scheduling)
    assert decision.children[-1].object["metadata"]["name"] == "chorales-train-2"
    assert (decision.status.suspension, fact(decision)) == (None, ("False", "NotTraining"))
    assert [event.reason for event in decision.events] == ["Resumed"]
    row = decision.status.stages[1]
    assert (row.retries, row.disruptions) == (0, 0)


def test_a_change_while_its_pods_end_waits_for_them_and_goes_on() -> None:
    first = after(told(1800.0), **SUSPENDS)
    ending = after(told(1815.0), first.status, pod(deleted=True), generation=2, **SUSPENDS)
    assert (ending.status.suspension, ending.children) == (None, ())
    gone = after(None, ending.status, ended(75), generation=2, **SUSPENDS)
    assert gone.children[-1].object["metadata"]["name"] == "chorales-train-2"


def test_the_users_own_suspension_takes_over() -> None:
    decision = after(None, suspended(), ended(75), generation=2, suspend=True, **SUSPENDS)
    assert (decision.status.state, decision.status.suspension) == ("Suspended", None)
    assert decision.status.message == "train: is suspended; it goes on once scheduling.suspend is false"


def test_idle_gpus_do_not_suspend_what_the_user_suspends() -> None:
    decision = after(told(1800.0), generation=2, suspend=True, **SUSPENDS)
    assert (decision.status.suspension, decision.status.state) == (None, "Running")


WRONG: dict[str, Any] = {"podTemplate": {"labels": {"job-name": "mine"}}}


def test_a_job_that_is_refused_while_it_is_suspended_is_suspended_no_more() -> None:
    decision = after(None, suspended(), ended(75), generation=2, **WRONG)
    assert fact(decision, "Stalled") == ("True", "WrongJob")
    assert (decision.status.suspension, fact(decision)) == (None, ("False", "NotTraining"))


def test_training_that_is_done_while_it_is_being_suspended_is_done() -> None:
    first = after(told(1800.0), status(train()), **SUSPENDS)
    late = first.status.model_copy(
        update={"stages": [*first.status.stages[:2], *(_done(row) for row in first.status.stages[2:])]}
    )
    decision = after(None, late, job(succeeded=True), **SUSPENDS)
    assert (decision.status.state, decision.status.suspension) == ("Succeeded", None)
    assert fact(decision) == ("False", "NotTraining")


def _done(row: StageStatus) -> StageStatus:
    return row.model_copy(update={"state": "Succeeded", "attempt": 1})
