"""After a failure: what is counted, how long the pause is, and when enough is enough."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mtj_api.contract import OUT_OF_MEMORY_ENV
from mtj_api.status import JobStatus, StageStatus
from mtj_operator.plan.observed import JobSnapshot, PodSnapshot
from mtj_operator.plan.story import Decision, decide
from mtj_operator.plan.story.clock import rfc3339
from mtj_operator.plan.story.retrying import LONGEST_PAUSE, QUICK
from support.sightings import NOW, ended, failed, job, pod, seen, status, train
from support.stories import SETTINGS, spec

CRASH, LOSS = ended(1, "the disk is full"), ended(69)


def after(row: StageStatus, *children: Any, **retries: int) -> Decision:
    found = seen(status(row), *children, spec=spec(scheduling={"retries": retries}))
    return decide(found, SETTINGS, NOW)


def train_row(decision: Decision) -> StageStatus:
    return train_row_of(decision.status)


def train_row_of(status: JobStatus) -> StageStatus:
    return next(row for row in status.stages if row.name == "train")


@pytest.mark.parametrize(
    ("quick", "end", "pause"),
    [
        *((quick, CRASH, pause) for quick, pause in ((1, 10), (2, 20), (5, 160), (6, LONGEST_PAUSE), (90, 300))),
        *((quick, LOSS, pause) for quick, pause in ((1, 2), (2, 4), (8, 256), (9, LONGEST_PAUSE), (99, 300))),
    ],
)
def test_what_ends_quickly_time_after_time_waits_ever_longer(quick: int, end: PodSnapshot, pause: float) -> None:
    end = replace(end, started=NOW - QUICK + 1)
    row = train_row(after(train(quick_ends=quick), failed(created=NOW - 86400), end))
    assert (row.state, row.attempt, row.quick_ends) == ("Retrying", 1, quick + 1)
    assert (row.retries, row.disruptions) == ((1, 0) if end.exit_code == 1 else (0, 1))
    assert row.retry_time == rfc3339(NOW + pause)


@pytest.mark.parametrize("end", [CRASH, LOSS])
@pytest.mark.parametrize(
    ("before", "lasted", "quick"),
    [
        pytest.param(train(), 60, 1, id="the first end"),
        pytest.param(train(retries=1, disruptions=9, quick_ends=9), QUICK, None, id="after long work, however often"),
        pytest.param(train(retries=1, disruptions=9), 60, 1, id="the first end after that"),
    ],
)
def test_an_end_that_is_likely_to_be_chance_is_followed_at_once(
    before: StageStatus, lasted: float, quick: int | None, end: PodSnapshot
) -> None:
    decision = after(before, failed(created=NOW - 86400), replace(end, started=NOW - lasted))
    row = train_row(decision)
    assert (row.state, row.attempt, row.quick_ends) == ("Pending", 2, quick)
    assert decision.events[0].message.endswith("; it is tried again at once")
    assert decision.children[-1].object["metadata"]["name"] == "chorales-train-2"


def test_an_attempt_whose_pods_are_gone_went_on_since_its_job_was_made() -> None:
    for lasted, state in ((QUICK, "Pending"), (60, "Retrying")):
        gone = failed(created=NOW - 6 - lasted, ended=NOW - 6, reason="BackoffLimitExceeded")
        assert train_row(after(train(quick_ends=2), gone)).state == state


def test_the_pause_is_counted_from_the_end_of_the_attempt_however_late_that_is_seen() -> None:
    decision = after(train(), failed(ended=NOW - 600), CRASH)
    assert train_row(decision).attempt == 2
    assert [child.object["metadata"]["name"] for child in decision.children][-1] == "chorales-train-2"


@pytest.mark.parametrize(
    ("before", "ahead", "pause"),
    [
        pytest.param(train(), 60, 0, id="the first end"),
        pytest.param(train(quick_ends=1), 60, 10, id="quick ends"),
        pytest.param(train(quick_ends=1), QUICK - 30, 0, id="an end after long work"),
    ],
)
def test_a_pause_is_no_longer_where_the_clock_of_the_operator_is_behind(
    before: StageStatus, ahead: float, pause: float
) -> None:
    """By the clocks of the cluster, the attempt began half a minute ago and ends in the future."""
    decision = after(before, failed(ended=NOW + ahead), CRASH)
    row = train_row(decision)
    if pause:
        assert (row.attempt, row.retry_time) == (1, rfc3339(NOW + pause))
    else:
        assert (row.state, row.attempt) == ("Pending", 2)


def test_a_fraction_of_a_second_makes_no_pause_shorter() -> None:
    row = train_row(after(train(quick_ends=1), failed(ended=NOW - 0.5), CRASH))
    assert row.retry_time == rfc3339(NOW + 10)


def test_a_retry_is_announced_with_its_reason_its_time_and_what_is_left_of_the_budget() -> None:
    decision = after(train(retries=1, quick_ends=1), failed(), CRASH)
    at = rfc3339(NOW + 10)
    told = f"train: attempt 1 failed: the disk is full (retry 2 of 5); it is tried again at {at}"
    assert (decision.status.state, decision.status.message) == ("Pending", told)
    assert [(event.reason, event.message, event.warning) for event in decision.events] == [("Retrying", told, True)]
    assert decision.requeue_after == 10


def test_a_pause_goes_on_with_the_same_words_after_its_job_is_gone() -> None:
    before = after(train(quick_ends=1), failed(), CRASH).status
    decision = decide(seen(before), SETTINGS, NOW + 3)
    assert (decision.status, decision.events, decision.requeue_after) == (before, (), 7)


@pytest.mark.parametrize(
    ("stage", "budget", "count"), [("prepare", "prepare", 0), ("train", "train", 3), ("report", "evaluate", 1)]
)
def test_a_stage_that_has_used_up_its_retries_fails_the_job(stage: str, budget: str, count: int) -> None:
    row = StageStatus(name=stage, state="Running", attempt=4, retries=count)
    decision = after(
        row, failed(stage, 4), ended(1, "the disk is full", stage=stage, job=f"chorales-{stage}-4"), **{budget: count}
    )
    times = {0: "the disk is full", 1: "it failed twice, the last time: the disk is full"}
    told = f"{stage}: {times.get(count, 'it failed 4 times, the last time: the disk is full')}"
    assert (decision.status.state, decision.status.stage, decision.status.message) == ("Failed", stage, told)
    assert [event.reason for event in decision.events][-2:] == ["StageFailed", "Failed"]
    assert decision.children == ()


def test_disruptions_have_a_budget_of_their_own() -> None:
    decision = after(train(disruptions=3, retries=5), failed(), LOSS, disruptions=3, train=5)
    assert decision.status.state == "Failed"
    assert decision.status.message == (
        "train: it was disrupted 4 times, more than scheduling.retries.disruptions allows; the last time: "
        "chorales-train-1-0 lost another process that it works with"
    )


def test_a_job_that_is_wrong_is_not_tried_again() -> None:
    decision = after(train(), failed(), ended(65, "there are no notes; add some"))
    assert decision.status.state == "Failed"
    assert train_row(decision).message == "there are no notes; add some"
    assert decision.status.message == (
        "train: there are no notes; add some; once that is mended, delete the job and apply it anew"
    )
    assert {(c.type, c.status, c.reason) for c in decision.status.conditions} >= {
        ("Succeeded", "False", "WrongJob"),
        ("Stalled", "True", "WrongJob"),
        ("Reconciling", "False", "WrongJob"),
    }


def test_an_attempt_whose_job_was_deleted_by_hand_is_a_disruption_and_gets_a_new_number() -> None:
    row = train_row(after(train()))
    assert (row.state, row.attempt, row.disruptions) == ("Pending", 2, 1)


@pytest.mark.parametrize("end", [ended(75), LOSS, ended(137, deleted=True)])
def test_an_attempt_whose_job_was_suspended_counts_nothing_and_is_followed_at_once(end: PodSnapshot) -> None:
    before = train(retries=1, disruptions=2, quick_ends=3)
    decision = after(before, failed(suspended=True), end)
    row = train_row(decision)
    assert (row.state, row.attempt) == ("Pending", 2)
    assert (row.retries, row.disruptions, row.quick_ends) == (1, 2, 3)
    assert decision.events[0].message.startswith("train: attempt 1 ended as its Job was suspended: ")


@pytest.mark.parametrize(
    ("child", "end", "counted"),
    [
        pytest.param(failed(suspended=True), CRASH, (1, 0), id="a crash before that"),
        pytest.param(job(suspended=True, deleted=True), ended(75), (0, 1), id="a Job that somebody deleted"),
    ],
)
def test_what_a_suspension_did_not_end_is_counted_though_its_job_is_suspended(
    child: JobSnapshot, end: PodSnapshot, counted: tuple[int, int]
) -> None:
    row = train_row(after(train(), child, end))
    assert (row.retries, row.disruptions) == counted


def test_attempts_that_the_status_has_lost_sight_of_are_counted_one_by_one() -> None:
    crashes = [ended(1, attempt=n, job=f"chorales-train-{n}", name=f"chorales-train-{n}-0") for n in (1, 2)]
    decision = after(train("Waiting", 0), failed(), failed("train", 2), job("train", 3), pod(attempt=3), *crashes)
    assert (train_row(decision).attempt, train_row(decision).retries) == (3, 2)


@pytest.mark.parametrize(
    ("end", "told"),
    [
        (ended(137, exit_reason="OOMKilled"), "1"),
        (ended(71, "memory ran out with 4 sequences a pass; the next attempt takes 2"), "1"),
        (CRASH, None),
        (LOSS, None),
        (ended(137, disrupted="preempted"), None),
    ],
)
def test_an_attempt_is_told_that_the_one_before_ran_out_of_memory(end: PodSnapshot, told: str | None) -> None:
    status = after(train(), failed(ended=NOW - 30), end).status
    assert train_row_of(status).out_of_memory == (True if told else None)
    again = decide(seen(status.model_copy(update={"observed_generation": 1})), SETTINGS, NOW)
    made = [child.object for child in again.children if child.object["kind"] == "Job"]
    environment = {
        variable["name"]: variable.get("value")
        for variable in made[0]["spec"]["template"]["spec"]["containers"][0]["env"]
    }
    assert environment.get(OUT_OF_MEMORY_ENV) == told


def test_only_the_attempt_after_one_that_ran_out_of_memory_is_told_so() -> None:
    row = train_row(after(train(attempt=2, outOfMemory=True), failed("train", 2), ended(1, attempt=2)))
    assert row.out_of_memory is None
