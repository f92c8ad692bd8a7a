"""``suspend``: the pods save their work and end; ``false`` goes on from there, and neither counts as a failure."""

from __future__ import annotations

import pytest

from mtj_api.status import StageStatus
from mtj_operator.plan.story import Decision, decide
from support.sightings import NOW, ended, failed, job, pod, seen, status, train
from support.stories import SETTINGS, spec

SUSPENDED, RESUMED = spec(scheduling={"suspend": True}), spec(scheduling={"suspend": False})


def conditions(decision: Decision) -> dict[str, tuple[str, str]]:
    return {condition.type: (condition.status, condition.reason) for condition in decision.status.conditions}


def test_a_job_that_is_suspended_from_the_start_makes_nothing() -> None:
    decision = decide(seen(spec=SUSPENDED), SETTINGS, NOW)
    assert (decision.children, decision.deletions, decision.status.state) == ((), (), "Suspended")
    assert conditions(decision)["Succeeded"] == ("Unknown", "Suspended")
    assert conditions(decision)["Reconciling"] == ("False", "Suspended")


def test_suspending_lasts_until_every_pod_has_ended() -> None:
    running = (job(), pod(), pod(1))
    first = decide(seen(status(train()), *running, spec=SUSPENDED, generation=2), SETTINGS, NOW)
    assert (first.status.state, first.deletions) == ("Running", ())
    assert first.status.message == "train: is being suspended: waits for its pods to save their work and end"
    assert conditions(first)["Reconciling"] == ("True", "Suspending")
    second = decide(seen(first.status, *running, spec=SUSPENDED, generation=2), SETTINGS, NOW)
    assert [deletion.name for deletion in second.deletions] == ["chorales-train-1"]
    ending = (pod(deleted=True), ended(75, index=1))
    third = decide(seen(second.status, *ending, spec=SUSPENDED, generation=2), SETTINGS, NOW)
    assert (third.status.state, third.deletions) == ("Running", ())
    last = decide(seen(third.status, ended(75), ended(75, index=1), spec=SUSPENDED, generation=2), SETTINGS, NOW)
    assert (last.status.state, [event.reason for event in last.events]) == ("Suspended", ["Suspended"])


@pytest.mark.parametrize("code", [75, 1, 137])
def test_resuming_makes_the_next_attempt_and_counts_nothing(code: int) -> None:
    before = status(train("Suspended", retries=1, disruptions=2), state="Suspended")
    decision = decide(seen(before, ended(code), spec=RESUMED, generation=3), SETTINGS, NOW)
    row = decision.status.stages[1]
    assert (row.state, row.attempt, row.retries, row.disruptions) == ("Pending", 2, 1, 2)
    assert decision.children[-1].object["metadata"]["name"] == "chorales-train-2"
    assert [event.reason for event in decision.events] == ["Resumed"]


def test_a_failure_that_came_before_the_suspension_counts() -> None:
    decision = decide(seen(status(train()), failed(), ended(1), spec=SUSPENDED), SETTINGS, NOW)
    row = decision.status.stages[1]
    assert (row.state, row.retries, decision.status.state) == ("Suspended", 1, "Suspended")


def test_a_stage_that_is_done_before_it_could_be_stopped_is_done() -> None:
    decision = decide(seen(status(train()), job(succeeded=True), spec=SUSPENDED), SETTINGS, NOW)
    assert [row.state for row in decision.status.stages][:3] == ["Succeeded", "Succeeded", "Suspended"]
    assert (decision.status.state, decision.children) == ("Suspended", ())


def test_a_pause_before_a_retry_is_forgotten() -> None:
    row = train("Retrying", retry_time="2026-01-01T00:05:00Z", retries=1)
    suspended = decide(seen(status(row), spec=SUSPENDED), SETTINGS, NOW)
    assert suspended.requeue_after is None
    resumed = decide(seen(suspended.status, spec=RESUMED), SETTINGS, NOW)
    assert resumed.children[-1].object["metadata"]["name"] == "chorales-train-2"


def test_suspensions_are_told_apart_by_the_edit_that_asked_for_them() -> None:
    keys = [
        event.key
        for generation in (2, 4)
        for event in decide(
            seen(status(StageStatus(name="prepare")), spec=SUSPENDED, generation=generation), SETTINGS, NOW
        ).events
    ]
    assert keys == ["suspended-2", "suspended-4"]
