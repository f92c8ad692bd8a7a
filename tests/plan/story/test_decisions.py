"""Given this status and these children, then these children, these deletions and this status."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from mtj_api.status import StageStatus
from mtj_operator.plan import STAGES
from mtj_operator.plan.observed import JobSnapshot, Observed, PodSnapshot
from mtj_operator.plan.story import Decision, decide
from mtj_operator.plan.story.clock import rfc3339
from mtj_operator.plan.story.seen import LOST_AFTER
from support.sightings import NOW, ended, failed, job, pod, seen, status, train
from support.stories import SETTINGS

Children = Sequence[JobSnapshot | PodSnapshot]

LONG_AGO, LATER = rfc3339(NOW - 7200), rfc3339(NOW + 5)


def decided(observed: Observed) -> Decision:
    return decide(observed, SETTINGS, NOW)


def made(decision: Decision) -> list[str]:
    return [f"{child.object['kind']} {child.object['metadata']['name']}" for child in decision.children]


def row(decision: Decision, stage: str = "train") -> StageStatus:
    return next(row for row in decision.status.stages if row.name == stage)


def test_a_new_job_gets_the_children_of_its_first_stage_the_job_last() -> None:
    decision = decided(seen())
    assert made(decision) == ["ConfigMap chorales-job", "Service chorales", "Job chorales-prepare-1"]
    assert [(row.name, row.state, row.attempt) for row in decision.status.stages] == [
        ("prepare", "Pending", 1),
        *((name, "Waiting", 0) for name in STAGES[1:]),
    ]
    assert (decision.status.state, decision.status.stage, decision.status.observed_generation) == (
        "Pending",
        "prepare",
        1,
    )
    assert decision.requeue_after is None


def test_a_job_without_a_model_prepares_and_reports() -> None:
    decision = decided(seen(spec={"dataset": {"source": "s3://music/raw"}, "output": "s3://music/out"}))
    assert [row.name for row in decision.status.stages] == ["prepare", "report"]


def test_the_next_stage_begins_in_the_decision_that_finds_the_last_one_done() -> None:
    before = status(StageStatus(name="prepare", state="Running", attempt=1))
    for late in ([], [pod(0, "prepare"), pod(1, "prepare")]):  # a Job is only done when its pods are: no need to see it
        decision = decided(seen(before, job("prepare", succeeded=True), *late))
        assert made(decision)[-1] == "Job chorales-train-1"


RETRYING = train("Retrying", retry_time=LONG_AGO, message="attempt 1 failed: it did")


@pytest.mark.parametrize(
    ("before", "children", "make", "state", "attempt"),
    [
        pytest.param(train("Waiting", 0), [], 1, "Pending", 1, id="its first attempt"),
        pytest.param(train("Pending"), [], 1, "Pending", 1, id="written but not seen: it is made again, or is there"),
        pytest.param(train("Pending"), [job()], 0, "Pending", 1, id="made"),
        pytest.param(train("Pending"), [job(), pod(), pod(1)], 0, "Running", 1, id="all pods run"),
        pytest.param(train("Pending"), [job(), pod()], 0, "Pending", 1, id="one pod of two runs"),
        pytest.param(train("Waiting", 0), [job()], 0, "Pending", 1, id="made, and killed before that was written"),
        pytest.param(train("Retrying", 1), [failed(), job("train", 2)], 0, "Pending", 2, id="the same for the second"),
        pytest.param(RETRYING, [failed(), ended(1)], 2, "Pending", 2, id="its pause is over"),
        pytest.param(RETRYING, [], 2, "Pending", 2, id="its pause is over, and its Job was deleted"),
        pytest.param(RETRYING, [failed(), pod()], 0, "Retrying", 1, id="a pod of the last attempt is not seen to end"),
        pytest.param(RETRYING, [pod(stage="prepare")], 0, "Retrying", 1, id="nor may one of another stage still write"),
        pytest.param(RETRYING, [job()], 0, "Retrying", 1, id="the Job of the last attempt is still there"),
        pytest.param(
            RETRYING, [pod(deleted=True, vanishes=NOW)], 0, "Retrying", 1, id="a pod is to be gone, but is not yet lost"
        ),
        pytest.param(
            RETRYING, [pod(deleted=True, vanishes=NOW - LOST_AFTER)], 2, "Pending", 2, id="lost with its node: no wait"
        ),
        pytest.param(train("Retrying", retry_time=LATER), [failed()], 0, "Retrying", 1, id="its pause is not over yet"),
        pytest.param(train("Suspended"), [], 2, "Pending", 2, id="resumed"),
        pytest.param(train("Suspended", 0), [], 1, "Pending", 1, id="resumed before it began"),
        pytest.param(train("Suspended"), [pod(deleted=True)], 0, "Retrying", 1, id="resumed while its pods end"),
        pytest.param(
            train("Suspended"), [job(succeeded=True)], 0, "Succeeded", 1, id="done before it could be stopped"
        ),
        pytest.param(train("Retrying"), [job(succeeded=True)], 0, "Succeeded", 1, id="held to be gone, and done"),
        pytest.param(
            train("Waiting", 0), [job(owner="uid-of-an-earlier-job")], 0, "Pending", 0, id="a namesake's Job is there"
        ),
        pytest.param(train("Waiting", 0), [ended(1)], 0, "Pending", 0, id="a namesake's pod is there"),
        pytest.param(train("Pending"), [job(deleted=True)], 0, "Retrying", 1, id="deleted by hand, not yet gone"),
    ],
)
def test_an_attempt_is_made_when_nothing_of_another_can_still_write(
    before: StageStatus, children: Children, make: int, state: str, attempt: int
) -> None:
    decision = decided(seen(status(before), *children))
    jobs = [name for name in made(decision) if name.startswith("Job chorales-train")]
    assert jobs == ([f"Job chorales-train-{make}"] if make else [])
    assert (row(decision).state, row(decision).attempt) == (state, attempt)
    assert row(decision).retries == before.retries
