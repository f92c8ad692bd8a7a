"""What is deleted, and when: nothing before its end is in the status that was read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mtj_api.status import JobStatus, StageStatus
from mtj_operator.plan.observed import JobSnapshot, PodSnapshot
from mtj_operator.plan.story import Deletion, decide
from mtj_operator.plan.story.clock import rfc3339
from mtj_operator.plan.story.decide import SOON
from mtj_operator.plan.story.leftovers import TO_END_BY_ITSELF
from support.sightings import NOW, ended, failed, job, pod, seen, status, train
from support.stories import SETTINGS, spec

SOME, LONG_AGO = rfc3339(NOW + 5), rfc3339(NOW - 7200)
HEADLESS = job("prepare", failed_indexes=frozenset({0}))
FINISHED = status(train("Failed"), state="Failed", completion_time=rfc3339(NOW))


@pytest.mark.parametrize(
    ("before", "child", "deleted"),
    [
        pytest.param(status(train()), job(), False, id="under way"),
        pytest.param(status(train("Pending")), job(), False, id="about to begin"),
        pytest.param(status(train("Retrying", retry_time=LONG_AGO)), job(), True, id="its end is written"),
        pytest.param(status(train("Retrying", retry_time=LONG_AGO)), failed(), False, id="kept for its log"),
        pytest.param(
            status(train("Retrying", retry_time=SOME)), job(), True, id="its end is written, whenever the next"
        ),
        pytest.param(
            status(train("Retrying", retry_time=SOME)), job(failing=True), False, id="ends by itself in the pause"
        ),
        pytest.param(
            status(train("Retrying", retry_time=rfc3339(NOW - 1))),
            job(failing=True),
            False,
            id="may still end by itself after the pause",
        ),
        pytest.param(
            status(train("Retrying", retry_time=LONG_AGO)), job(failing=True), True, id="did not end by itself"
        ),
        pytest.param(status(train("Retrying")), job("train", 2), False, id="the next, not yet in the status"),
        pytest.param(status(train("Suspended")), job(), True, id="suspended"),
        pytest.param(status(train("Suspended")), job(deleted=True), False, id="on its way out already"),
        pytest.param(status(train("Running", 2)), failed(), False, id="the last attempt before this one"),
        pytest.param(status(train("Running", 3)), failed(), True, id="an attempt before that"),
        pytest.param(status(train("Running")), job("prepare"), True, id="of a stage that is done"),
        pytest.param(status(train("Running")), job("prepare", succeeded=True), False, id="done, kept for its log"),
        pytest.param(status(train("Retrying")), job(owner="uid-of-an-earlier-job"), False, id="of a namesake"),
        pytest.param(FINISHED, job(), True, id="of a job that has failed"),
        pytest.param(FINISHED, job(failing=True), False, id="the same, ending by itself"),
        pytest.param(FINISHED, failed(), False, id="the same, ended"),
        pytest.param(
            status(train("Succeeded"), state="Succeeded", completion_time=LONG_AGO),
            job(),
            True,
            id="of a job that is done",
        ),
    ],
)
def test_a_job_is_deleted_once_nothing_is_expected_of_it(before: JobStatus, child: JobSnapshot, deleted: bool) -> None:
    scheduling = {"suspend": before.stages[1].state == "Suspended"}
    decision = decide(seen(before, child, spec=spec(scheduling=scheduling)), SETTINGS, NOW)
    assert decision.deletions == ((Deletion("Job", child.name, child.uid),) if deleted else ())


def test_what_an_attempt_proves_is_written_before_its_job_is_deleted() -> None:
    first = decide(seen(status(train()), job(), pod(1, deleted=True, vanishes=0.0)), SETTINGS, NOW)
    assert first.deletions == ()
    assert first.requeue_after == pytest.approx(SOON)
    second = decide(seen(first.status, job(), pod(1, deleted=True, vanishes=0.0)), SETTINGS, NOW)
    assert [deletion.name for deletion in second.deletions] == ["chorales-train-1"]
    assert second.status == first.status


@pytest.mark.parametrize(
    ("pods", "deleted"),
    [
        ([ended(1, stage="prepare")], False),
        ([ended(1, stage="prepare"), pod(1, "prepare")], False),
        ([ended(75, stage="prepare"), pod(0, "prepare")], True),
        ([pod(0, "prepare", deleted=True, vanishes=0.0)], True),
        ([pod(0, "prepare")], True),
        ([], True),
    ],
)
def test_a_job_whose_head_has_just_ended_is_given_the_time_to_fail_by_itself(
    pods: list[PodSnapshot], deleted: bool
) -> None:
    row = StageStatus(name="prepare", state="Retrying", attempt=1, retry_time=SOME)
    children = [replace(pod, job="chorales-prepare-1") for pod in pods]
    decision = decide(seen(status(row), job("prepare"), *children), SETTINGS, NOW)
    assert bool(decision.deletions) == deleted


def test_helpers_whose_head_failed_may_end_by_themselves_so_that_its_log_stays() -> None:
    dead = ended(1, "the disk is full", stage="prepare", job="chorales-prepare-1")
    row = StageStatus(name="prepare", state="Running", attempt=1, retries=2)
    found = (HEADLESS, dead, pod(1, "prepare"))
    first = decide(seen(status(row), *found), SETTINGS, NOW)
    assert (first.status.state, first.deletions, first.requeue_after) == ("Failed", (), TO_END_BY_ITSELF)
    second = decide(seen(first.status, *found), SETTINGS, NOW + TO_END_BY_ITSELF)
    assert [deletion.name for deletion in second.deletions] == ["chorales-prepare-1"]
