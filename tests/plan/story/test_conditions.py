"""Conditions: what ``kubectl wait``, Flux and Argo CD go by."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mtj_api.status import Condition, JobState
from mtj_operator.plan.story import decide
from mtj_operator.plan.story.clock import rfc3339, seconds_of
from mtj_operator.plan.story.conditions import conditions, facts
from support.sightings import NOW, job, pod, seen, status, train
from support.stories import SETTINGS, spec


@pytest.mark.parametrize(
    ("state", "succeeded", "reconciling", "stalled"),
    [
        ("Pending", "Unknown", "True", "False"),
        ("Queued", "Unknown", "True", "False"),
        ("Running", "Unknown", "True", "False"),
        ("Suspended", "Unknown", "False", "False"),
        ("Succeeded", "True", "False", "False"),
        ("Failed", "False", "False", "True"),
    ],
)
def test_conditions_say_whether_it_is_done_goes_on_or_needs_somebody(
    state: JobState, succeeded: str, reconciling: str, stalled: str
) -> None:
    found = {fact.type: fact.status for fact in facts(state, "Because", "it is so")}
    assert found == {"Succeeded": succeeded, "Reconciling": reconciling, "Stalled": stalled}


def test_a_conditions_time_is_that_of_its_last_change() -> None:
    first = conditions([], facts("Pending", "Pending", "waits"), 1, NOW)
    second = conditions(first, facts("Running", "Running", "runs"), 2, NOW + 60)
    third = conditions(second, facts("Succeeded", "Succeeded", "done"), 2, NOW + 120)
    times = [[condition.last_transition_time for condition in found] for found in (first, second, third)]
    start, end = rfc3339(NOW), rfc3339(NOW + 120)
    assert times == [[start] * 3, [start] * 3, [end, end, start]]
    assert [condition.observed_generation for condition in second] == [2, 2, 2]


def test_conditions_of_others_stay() -> None:
    other = Condition(
        type="Admitted", status="True", reason="Paid", last_transition_time=rfc3339(NOW), observed_generation=1
    )
    found = conditions([other], facts("Running", "Running", "runs"), 1, NOW)
    assert [condition.type for condition in found] == ["Admitted", "Succeeded", "Reconciling", "Stalled"]


@pytest.mark.parametrize(
    ("nodes", "queue", "gangs", "expected"),
    [
        (1, None, True, None),
        (2, None, True, ("True", "WorkloadAPI")),
        (2, None, False, ("False", "NotServed")),
        (2, "music", False, ("True", "Kueue")),
        (2, "music", True, ("True", "Kueue")),
    ],
)
def test_a_job_of_several_pods_says_whether_they_start_together(
    nodes: int, queue: str | None, gangs: bool, expected: tuple[str, str] | None
) -> None:
    wanted = spec(training={"nodes": nodes}, scheduling={"queue": queue} if queue else {})
    decision = decide(seen(spec=wanted), replace(SETTINGS, gangs=gangs), NOW)
    found = {one.type: (one.status, one.reason) for one in decision.status.conditions}.get("GangScheduling")
    assert found == expected


def test_the_message_of_a_status_is_that_of_its_conditions() -> None:
    decision = decide(seen(status(train()), job(), pod(), pod(1)), SETTINGS, NOW)
    assert {one.message for one in decision.status.conditions if one.type != "GangScheduling"} == {
        "",
        "train: runs on 2 pods",
    }


@pytest.mark.parametrize("text", [None, "", "yesterday", "2026-13-01T00:00:00Z", "2026-01-01T00:00:00", "12"])
def test_what_is_no_time_is_none(text: str | None) -> None:
    assert seconds_of(text) is None


def test_times_are_whole_seconds_in_utc() -> None:
    assert rfc3339(NOW + 0.9) == "2026-01-01T00:00:00Z"
    assert seconds_of("2026-01-01T00:00:00Z") == NOW
    assert seconds_of("2026-01-01T01:00:00+01:00") == NOW
