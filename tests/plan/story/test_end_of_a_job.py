"""The end of a job: done, failed, out of time or wrong from the start. Then nothing is made again."""

from __future__ import annotations

from typing import Any

import pytest

from mtj_api.status import JobStatus, StageStatus
from mtj_operator.plan.story import Decision, decide
from mtj_operator.plan.story.clock import rfc3339
from support.sightings import NOW, ended, job, pod, seen, status, train
from support.stories import SETTINGS, spec

PUBLISHING = status(StageStatus(name="publish", state="Running", attempt=1))
DONE = status(
    StageStatus(name="publish", state="Succeeded", attempt=1), state="Succeeded", completion_time=rfc3339(NOW)
)
FAILED = status(train("Failed"), state="Failed", completion_time=rfc3339(NOW))


def conditions(decision: Decision) -> dict[str, tuple[str, str]]:
    return {condition.type: (condition.status, condition.reason) for condition in decision.status.conditions}


def test_a_job_is_done_with_its_last_stage_and_says_where_everything_lies() -> None:
    child = job("publish", succeeded=True, ended=NOW - 5)
    decision = decide(seen(PUBLISHING, child, spec=spec(output="s3://music/out/")), SETTINGS, NOW)
    assert (decision.status.state, decision.status.stage) == ("Succeeded", "")
    assert decision.status.completion_time == rfc3339(NOW - 5)
    assert decision.status.output is not None
    assert decision.status.output.model_dump() == {
        "model": "s3://music/out/model",
        "report": "s3://music/out/report.html",
        "figures": "s3://music/out/figures.json",
    }
    found = conditions(decision)
    assert (found["Succeeded"], found["Reconciling"]) == (("True", "Succeeded"), ("False", "Succeeded"))
    assert found["Stalled"] == ("False", "Succeeded")


def test_a_job_without_a_model_has_a_report_alone() -> None:
    rows = [
        StageStatus(name="prepare", state="Succeeded", attempt=1),
        StageStatus(name="report", state="Running", attempt=1),
    ]
    found = seen(
        JobStatus(observed_generation=1, stages=rows),
        job("report", succeeded=True),
        spec={"dataset": {"source": "s3://music/raw"}, "output": "s3://music/out"},
    )
    decision = decide(found, SETTINGS, NOW)
    assert decision.status.output is not None
    assert (decision.status.output.model, decision.status.output.report) == (None, "s3://music/out/report.html")


@pytest.mark.parametrize("before", [DONE, FAILED])
@pytest.mark.parametrize("scheduling", [{}, {"suspend": True}, {"deadlineSeconds": 1}])
def test_the_end_is_final_whatever_becomes_of_the_children_and_the_spec(before: JobStatus, scheduling: Any) -> None:
    decision = decide(seen(before, spec=spec(scheduling=scheduling), generation=2), SETTINGS, NOW)
    assert (decision.children, decision.deletions, decision.events) == ((), (), ())
    assert decision.status == before.model_copy(update={"observed_generation": 2})


def test_conditions_of_a_job_that_has_ended_are_of_its_latest_spec_so_that_kubectl_wait_takes_them() -> None:
    done = decide(seen(PUBLISHING, job("publish", succeeded=True)), SETTINGS, NOW).status
    edited = decide(seen(done, generation=2), SETTINGS, NOW).status
    assert {condition.observed_generation for condition in edited.conditions} == {2}
    assert [(c.type, c.status) for c in edited.conditions] == [(c.type, c.status) for c in done.conditions]


@pytest.mark.parametrize(
    ("before", "scheduling", "requeue", "deleted"),
    [
        (DONE, {}, None, False),
        (DONE, {"ttlSecondsAfterFinished": 60}, 60, False),
        (FAILED, {"ttlSecondsAfterFinished": 60}, 60, False),
        (DONE, {"ttlSecondsAfterFinished": 0}, None, True),
        (status(train()), {"ttlSecondsAfterFinished": 0}, None, False),
    ],
)
def test_a_job_outlives_its_end_by_its_ttl(
    before: JobStatus, scheduling: Any, requeue: float | None, deleted: bool
) -> None:
    children = (job(), pod(), pod(1)) if before.state == "Pending" else ()
    decision = decide(seen(before, *children, spec=spec(scheduling=scheduling)), SETTINGS, NOW)
    assert (decision.requeue_after, decision.delete_resource) == (requeue, deleted)


LIMIT = spec(scheduling={"deadlineSeconds": 3600})


def test_a_job_fails_at_its_deadline_which_counts_from_its_first_pod() -> None:
    before = status(train(), start_time=rfc3339(NOW - 3600))
    decision = decide(seen(before, job(), pod(), spec=LIMIT), SETTINGS, NOW)
    assert (decision.status.state, decision.status.stage) == ("Failed", "train")
    assert decision.status.message == (
        "train: it was not done within the 3600 s of scheduling.deadlineSeconds; what it saved so far stays"
    )
    assert conditions(decision)["Stalled"] == ("True", "DeadlineExceeded")
    assert [event.reason for event in decision.events] == ["DeadlineExceeded"]
    after = decide(seen(decision.status, job(), pod(), spec=LIMIT), SETTINGS, NOW)
    assert [deletion.name for deletion in after.deletions] == ["chorales-train-1"]


@pytest.mark.parametrize(
    ("started", "scheduling", "requeue"),
    [
        (NOW - 3000, {"deadlineSeconds": 3600}, 600),
        (None, {"deadlineSeconds": 3600}, None),
        (NOW - 9000, {"deadlineSeconds": 3600, "suspend": True}, None),
        (NOW - 9000, {"deadlineSeconds": 10_000}, 1000),
    ],
)
def test_the_deadline_is_waited_for_and_does_not_strike_before_the_start_or_while_suspended(
    started: float | None, scheduling: Any, requeue: float | None
) -> None:
    row = train("Suspended" if "suspend" in scheduling else "Pending", 1)
    before = status(row, start_time=None if started is None else rfc3339(started))
    decision = decide(
        seen(before, *([] if "suspend" in scheduling else [job()]), spec=spec(scheduling=scheduling)), SETTINGS, NOW
    )
    assert decision.status.state != "Failed"
    assert decision.requeue_after == requeue


def test_a_job_that_is_done_at_its_deadline_is_done() -> None:
    before = PUBLISHING.model_copy(update={"start_time": rfc3339(NOW - 9000)})
    decision = decide(seen(before, job("publish", succeeded=True), spec=LIMIT), SETTINGS, NOW)
    assert decision.status.state == "Succeeded"


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (spec(training={"steps": 0}), "spec.training.steps: 0 is too small; write at least 1"),
        (spec(training={"steps": "9"}), 'spec.training.steps: "9" is text; write 9 without quotes'),
        (spec(output="ftp:/x"), "no storage is known for this"),
        (spec(output="./out"), "relative to a working directory, which pods do not share"),
        (spec(dataset={"source": "s3://music", "cache": "s3://music/data"}), "lies in dataset.source"),
        ({"output": "s3://music/out"}, "spec.dataset: this field is missing"),
        ({}, "spec.dataset: this field is missing"),
        ([], "spec: [] is not a group of fields"),
        ("no JSON", "spec: null"),
    ],
)
def test_a_job_that_cannot_work_fails_at_once_with_a_sentence(wrong: Any, sentence: str) -> None:
    decision = decide(seen(spec=wrong), SETTINGS, NOW)
    assert sentence in decision.status.message
    assert "\n" not in decision.status.message
    assert decision.status.message.endswith("; once that is mended, delete the job and apply it anew")
    assert {one.message for one in decision.status.conditions} == {"", decision.status.message}
    assert (decision.status.state, decision.children, decision.requeue_after) == ("Failed", (), None)
    assert conditions(decision)["Succeeded"] == ("False", "WrongJob")
    assert conditions(decision)["Stalled"] == ("True", "WrongJob")
    assert [event.reason for event in decision.events] == ["WrongJob"]
    again = decide(seen(decision.status, spec=wrong), SETTINGS, NOW + 60)
    assert (again.status, again.events, again.requeue_after) == (decision.status, (), None)


def test_an_edit_that_makes_a_running_job_wrong_ends_it() -> None:
    template = {"env": [{"name": "RANK", "value": "0"}], "labels": {"job-name": "mine"}}
    edited = spec(scheduling={"podTemplate": template})
    decision = decide(seen(status(train()), job(), spec=edited, generation=2), SETTINGS, NOW)
    assert decision.status.state == "Failed"
    after = decide(seen(decision.status, job(), spec=edited, generation=2), SETTINGS, NOW)
    assert [deletion.name for deletion in after.deletions] == ["chorales-train-1"]


def test_a_job_that_was_refused_says_what_to_do_once_its_spec_is_mended_too() -> None:
    wrong = spec(scheduling={"podTemplate": {"labels": {"job-name": "mine"}}})
    refused = decide(seen(status(train("Suspended")), spec=wrong, generation=2), SETTINGS, NOW)
    mended = decide(seen(refused.status, generation=3), SETTINGS, NOW)
    told = [one.message for one in mended.status.conditions if one.type == "Stalled" and one.observed_generation == 3]
    assert told == [mended.status.message]
    assert mended.status.message.count("delete the job and apply it anew") == 1


def test_a_job_that_is_being_deleted_is_left_alone() -> None:
    decision = decide(seen(status(train()), ended(1), deleted=True), SETTINGS, NOW)
    assert (decision.children, decision.deletions, decision.events, decision.requeue_after) == ((), (), (), None)
    assert decision.status == status(train())
