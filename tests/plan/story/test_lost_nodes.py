"""Pods of a node that is gone or does not answer: replaced at once, and taken away where nobody else ever will."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mtj_api.status import StageStatus
from mtj_operator.plan.observed import PodSnapshot
from mtj_operator.plan.story import Decision, decide
from mtj_operator.plan.story.seen import LOST_AFTER
from support.sightings import NOW, ended, job, pod, seen, status, train
from support.stories import SETTINGS


def leaving(index: int = 1, **parts: Any) -> PodSnapshot:
    """A pod that is told to go, with its whole grace before it."""
    return pod(index, **{"deleted": True, "vanishes": NOW + 120, "uid": f"uid-{index}", **parts})


def now(*children: Any, row: StageStatus | None = None) -> Decision:
    return decide(seen(status(row or train()), *children), SETTINGS, NOW)


def train_row(decision: Decision) -> StageStatus:
    return next(row for row in decision.status.stages if row.name == "train")


@pytest.mark.parametrize(
    ("gone", "state"),
    [
        pytest.param(leaving(), "Running", id="its node may answer"),
        pytest.param(leaving(silent=True), "Retrying", id="its node does not answer"),
        pytest.param(leaving(vanishes=NOW - LOST_AFTER), "Retrying", id="overdue, and nothing known of its node"),
        pytest.param(pod(1, silent=True), "Running", id="nobody wants it to go yet"),
    ],
)
def test_an_attempt_ends_when_one_of_its_pods_is_lost(gone: PodSnapshot, state: str) -> None:
    row = train_row(now(job(failing=True), ended(69), gone))
    assert row.state == state
    if state == "Retrying":
        assert row.message.startswith("attempt 1 was disrupted: the node node-1 of chorales-train-1-1 does not answer")
        assert (row.retries, row.disruptions) == (0, 1)


@pytest.mark.parametrize(
    ("left", "row", "deleted"),
    [
        pytest.param(leaving(silent=True), train("Retrying"), ["chorales-train-1-1"], id="of an attempt that is over"),
        pytest.param(leaving(silent=True), train("Running"), [], id="of one whose end is not written yet"),
        pytest.param(leaving(), train("Retrying"), [], id="whose node may answer"),
        pytest.param(leaving(vanishes=NOW - LOST_AFTER), train("Retrying"), [], id="of whose node nothing is known"),
        pytest.param(pod(1, silent=True), train("Retrying"), [], id="that nobody told to go"),
    ],
)
def test_a_pod_is_taken_away_only_where_its_node_cannot_do_so(
    left: PodSnapshot, row: StageStatus, deleted: list[str]
) -> None:
    decision = now(left, row=row)
    assert [(one.name, one.grace) for one in decision.deletions if one.kind == "Pod"] == [(name, 0) for name in deleted]


@pytest.mark.parametrize(
    ("peer", "graces"),
    [
        pytest.param(pod(0), [0, 10], id="that nobody told to end yet"),
        pytest.param(leaving(0), [0, 10], id="told to end, with its whole grace before it"),
        pytest.param(leaving(0, vanishes=NOW + 10), [0], id="told so before"),
        pytest.param(ended(69), [0], id="that noticed by itself"),
    ],
)
def test_pods_that_train_with_a_lost_one_do_not_wait_for_it(peer: PodSnapshot, graces: list[int]) -> None:
    decision = now(job(), peer, leaving(silent=True), row=train("Retrying"))
    assert [one.grace for one in decision.deletions if one.kind == "Pod"] == graces
    whose_node_may_answer = now(job(), peer, leaving(), row=train("Retrying"))
    assert [one.kind for one in whose_node_may_answer.deletions] == ["Job"]


def test_pods_that_prepare_beside_a_lost_one_go_on() -> None:
    row = StageStatus(name="prepare", state="Retrying", attempt=1)
    found = [replace(one, job="chorales-prepare-1", stage="prepare") for one in (pod(0), leaving(silent=True))]
    assert [one.grace for one in now(*found, row=row).deletions if one.kind == "Pod"] == [0]


def test_an_attempt_whose_job_was_deleted_by_hand_does_not_wait_for_a_lost_pod_of_the_same_name() -> None:
    pending = StageStatus(name="train", state="Pending", attempt=1)
    assert now(leaving(), row=pending).status.message.endswith("to be gone, whose name is needed again")
    row = train_row(now(leaving(vanishes=NOW - LOST_AFTER), row=pending))
    assert (row.state, row.attempt, row.disruptions) == ("Pending", 2, 1)


def test_what_an_earlier_job_of_this_name_left_on_a_lost_node_holds_up_no_new_one() -> None:
    left = leaving(0, silent=True)
    for row in (train("Waiting", 0), StageStatus(name="prepare", state="Running", attempt=1)):
        assert [(one.name, one.uid, one.grace) for one in now(left, row=row).deletions] == [
            ("chorales-train-1-0", "uid-0", 0)
        ]
    assert now(leaving(0), row=train("Waiting", 0)).deletions == ()
    assert now(job(), left, row=train("Waiting", 0)).deletions == ()


def test_no_attempt_is_made_while_a_pod_may_still_run() -> None:
    over = train("Retrying", retry_time="2025-12-31T23:59:00Z")
    assert now(leaving(), row=over).children == ()
    names = [child.object["metadata"]["name"] for child in now(leaving(silent=True), row=over).children]
    assert names[-1] == "chorales-train-2"
