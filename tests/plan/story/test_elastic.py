"""Training on fewer nodes than a job asks for, and on all again: when, why, how often, and what it costs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mtj_api.status import ElasticStatus, StageStatus
from mtj_operator.plan.observed import JobSnapshot, Observed, PodSnapshot
from mtj_operator.plan.story import Decision, decide
from mtj_operator.plan.story.clock import rfc3339
from mtj_operator.plan.story.elastic import FIRST_GROWTH, LONGEST_GROWTH, SHRINKS_AFTER
from mtj_operator.plan.story.leftovers import LOOKS_AGAIN_AFTER
from support.sightings import NOW, job, pod, seen, status, train
from support.stories import SETTINGS, spec

WHY = "0/4 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/unreachable: }"
SHORT = {"nodes": 2, "reason": "no node takes chorales-train-1-3", "shrinks": 1}


def elastic(nodes: int = 4, fewest: int = 1, **scheduling: Any) -> dict[str, Any]:
    return spec(training={"nodes": nodes, "minNodes": fewest, "batch": {"size": 24}}, scheduling=scheduling)


def nowhere(index: int, waited: float, **parts: Any) -> PodSnapshot:
    """A pod that the scheduler has found no node for."""
    found: dict[str, Any] = {
        "phase": "Pending",
        "node": "",
        "waiting": ("Unschedulable", WHY),
        "unschedulable": NOW - waited,
    }
    return pod(index, started=None, **(found | parts))


def room(pods: int = 2, attempt: int = 1) -> JobSnapshot:
    """The Job that looks for room beside an attempt."""
    return replace(job("room", attempt), pods=pods)


def holding(index: int, **parts: Any) -> PodSnapshot:
    """A pod of it that has a place."""
    return pod(index, "room", **parts)


def waiting(index: int) -> PodSnapshot:
    """A pod of it that has none."""
    return nowhere(index, 5.0, stage="room", job="chorales-room-1", name=f"chorales-room-1-{index}")


def gang(size: int, row: StageStatus, *others: Any, wanted: dict[str, Any] | None = None) -> Observed:
    """An attempt of so many nodes whose pods all run."""
    running = [pod(index) for index in range(size)]
    return seen(status(row), job(pods=size), *running, *others, spec=wanted or elastic())


def now(observed: Observed) -> Decision:
    return decide(observed, SETTINGS, NOW)


def row_of(decision: Decision) -> StageStatus:
    return next(row for row in decision.status.stages if row.name == "train")


def size_of(decision: Decision) -> int | None:
    row = row_of(decision)
    return None if row.elastic is None else row.elastic.nodes


def made(decision: Decision) -> list[tuple[str, int]]:
    """Name and pods of each Job that is to be made."""
    jobs = (child.object for child in decision.children if child.object["kind"] == "Job")
    return [(one["metadata"]["name"], one["spec"]["completions"]) for one in jobs]


@pytest.mark.parametrize(
    ("placed", "waited", "fewest", "size"),
    [
        pytest.param(3, SHRINKS_AFTER - 1, 1, None, id="not for long"),
        pytest.param(3, SHRINKS_AFTER, 1, 3, id="one without room"),
        pytest.param(1, SHRINKS_AFTER, 1, 1, id="room for one"),
        pytest.param(1, SHRINKS_AFTER, 2, None, id="too few to go on"),
        pytest.param(0, SHRINKS_AFTER, 1, None, id="no room at all"),
        pytest.param(3, SHRINKS_AFTER, 4, None, id="all or none"),
    ],
)
def test_a_gang_that_finds_room_for_some_goes_on_with_these(
    placed: int, waited: float, fewest: int, size: int | None
) -> None:
    pods = [*(pod(index) for index in range(placed)), *(nowhere(index, waited) for index in range(placed, 4))]
    decision = now(seen(status(train("Pending")), job(pods=4), *pods, spec=elastic(fewest=fewest)))
    row = row_of(decision)
    assert (row.state == "Retrying") == (size is not None)
    if size is not None:
        assert row.elastic == ElasticStatus(
            nodes=size, reason=f"no node takes chorales-train-1-{placed}: {WHY}", shrinks=1
        )
        assert [event.reason for event in decision.events] == ["Shrunk"]
        assert (row.retries, row.disruptions) == (0, 0)


def test_what_no_pod_has_been_looked_for_yet_is_waited_for() -> None:
    on_its_way = pod(3, phase="Pending", node="", started=None)
    pods = [pod(0), pod(1), nowhere(2, SHRINKS_AFTER), on_its_way]
    assert row_of(now(seen(status(train("Pending")), job(pods=4), *pods, spec=elastic()))).state == "Pending"


def test_it_comes_back_when_a_pod_will_have_waited_for_long_enough() -> None:
    pods = [pod(0), pod(1), pod(2), nowhere(3, 12)]
    decision = now(seen(status(train("Pending")), job(pods=4), *pods, spec=elastic()))
    assert decision.requeue_after == SHRINKS_AFTER - 12


def test_the_next_attempt_has_as_many_nodes_as_found_room_and_keeps_the_batch() -> None:
    over = train("Retrying", elastic=SHORT, retry_time=rfc3339(NOW))
    decision = now(seen(status(over), spec=elastic()))
    assert made(decision) == [("chorales-train-2", 2)]
    (command,) = [
        child.object["spec"]["template"]["spec"]["containers"][0]["command"]
        for child in decision.children
        if child.object["kind"] == "Job"
    ]
    assert command[command.index("--nnodes") + 1] == "2"
    (config,) = [child.object["data"]["job.json"] for child in decision.children if child.object["kind"] == "ConfigMap"]
    assert '"nodes": 4' in config


def test_the_status_says_on_how_many_nodes_it_runs_and_why() -> None:
    decision = now(gang(2, train(elastic=SHORT)))
    assert decision.status.nodes == "2 of 4"
    assert decision.status.message == ("train: runs on 2 pods; on 2 of 4 nodes, since no node takes chorales-train-1-3")
    assert now(gang(4, train())).status.nodes == "4 of 4"
    assert now(gang(2, train(), wanted=spec())).status.nodes is None


@pytest.mark.parametrize(
    ("shrinks", "seconds"),
    [(0, FIRST_GROWTH), (1, FIRST_GROWTH), (2, 2 * FIRST_GROWTH), (4, 8 * FIRST_GROWTH), (99, LONGEST_GROWTH)],
)
def test_the_more_often_nodes_were_lost_the_later_room_is_looked_for(shrinks: int, seconds: float) -> None:
    decision = now(gang(2, train(elastic={**SHORT, "shrinks": shrinks})))
    row = row_of(decision)
    assert row.elastic is not None
    assert row.elastic.grow_time == rfc3339(NOW + seconds)
    assert decision.requeue_after == seconds
    assert decision.children == ()


DUE = {**SHORT, "grow_time": rfc3339(NOW)}


def test_room_is_looked_for_by_pods_like_those_that_are_missing_and_nothing_stops_meanwhile() -> None:
    wanted = elastic(
        resources={"train": {"memory": "2Gi", "gpus": 1}}, nodeSelector={"zone": "a"}, priorityClassName="p"
    )
    wanted["training"]["processesPerNode"] = 1
    decision = now(gang(2, train(elastic=DUE), wanted=wanted))
    assert made(decision) == [("chorales-room-1", 2)]
    attempt = now(seen(status(train("Retrying", elastic=SHORT, retry_time=rfc3339(NOW))), spec=wanted))
    (holds,) = [child.object["spec"]["template"]["spec"] for child in decision.children]
    trains = attempt.children[-1].object["spec"]["template"]["spec"]
    assert holds["containers"][0]["resources"] == trains["containers"][0]["resources"]
    for field in ("nodeSelector", "tolerations", "priorityClassName", "securityContext"):
        assert holds[field] == trains[field], field
    assert "env" not in holds["containers"][0]
    assert (row_of(decision).state, decision.deletions) == ("Running", ())


@pytest.mark.parametrize(
    ("children", "size"),
    [
        pytest.param([room(), holding(0), holding(1)], 4, id="room for all"),
        pytest.param([room(), holding(0), waiting(1)], 3, id="room for one more"),
        pytest.param([room(), waiting(0), waiting(1)], None, id="no room"),
        pytest.param([room(), holding(0)], None, id="not all are tried yet"),
        pytest.param([room()], None, id="none is tried yet"),
    ],
)
def test_it_grows_by_as_many_as_there_is_room_for(children: list[Any], size: int | None) -> None:
    decision = now(gang(2, train(elastic=DUE), *children))
    row = row_of(decision)
    assert (row.state, size_of(decision)) == (("Retrying", size) if size else ("Running", 2))
    assert [event.reason for event in decision.events] == (["Grown"] if size else [])
    assert (row.retries, row.disruptions) == (0, 0)
    assert made(decision) == []


def test_growing_saves_first_and_holds_the_room_until_the_next_attempt_is_there() -> None:
    children: list[Any] = [room(), holding(0), holding(1)]
    grows = now(gang(2, train(elastic=DUE), *children))
    stops = now(gang(2, row_of(grows), *children))
    assert [deletion.name for deletion in stops.deletions] == ["chorales-train-1"]
    begins = now(seen(stops.status, *children, spec=elastic()))
    assert made(begins) == [("chorales-train-2", 4)]
    assert begins.deletions == ()
    begun = now(seen(begins.status, job(attempt=2, pods=4), *children, spec=elastic()))
    assert [deletion.name for deletion in begun.deletions] == ["chorales-room-1"]


def test_what_holds_room_is_no_reason_to_wait_for_and_is_gone_with_the_job() -> None:
    done = status(StageStatus(name="evaluate"))
    assert [one.name for one in now(seen(done, room(), holding(0), spec=elastic())).deletions] == ["chorales-room-1"]


@pytest.mark.parametrize(
    "end", [{"succeeded": True}, {"failed": True, "reason": "BackoffLimitExceeded"}], ids=["its hour is over", "failed"]
)
def test_room_is_looked_for_anew_some_time_after_the_job_that_looked_for_it_has_ended(end: dict[str, Any]) -> None:
    over: Any = replace(room(), ended=NOW - 1, **end)
    stopped = [holding(index, phase="Failed", exit_code=1) for index in (0, 1)]
    fresh = now(gang(2, train(elastic=DUE), over, *stopped))
    assert (made(fresh), fresh.deletions, fresh.requeue_after) == ([], (), LOOKS_AGAIN_AFTER - 1)
    later = now(gang(2, train(elastic=DUE), replace(over, ended=NOW - LOOKS_AGAIN_AFTER), *stopped))
    assert (made(later), [deletion.name for deletion in later.deletions]) == ([], ["chorales-room-1"])
    assert made(now(gang(2, train(elastic=DUE), *stopped))) == [], "the next would get the pods of the last"
    assert made(now(gang(2, train(elastic=DUE)))) == [("chorales-room-1", 2)]
    assert {row_of(decision).state for decision in (fresh, later)} == {"Running"}


def test_where_a_queue_decides_what_runs_it_does_not_leave_what_it_has() -> None:
    decision = now(gang(2, train(elastic=DUE), wanted=elastic(queue="music")))
    assert decision.children == ()


def test_a_failure_on_fewer_nodes_is_followed_by_as_many() -> None:
    over = train("Retrying", retries=1, elastic=SHORT, retry_time=rfc3339(NOW))
    assert made(now(seen(status(over), spec=elastic()))) == [("chorales-train-2", 2)]


def test_a_job_that_was_suspended_asks_for_all_again() -> None:
    rests = now(seen(status(train("Suspended", elastic=SHORT), state="Suspended"), spec=elastic()))
    assert made(rests) == [("chorales-train-2", 4)]


def test_the_number_of_nodes_of_an_attempt_is_known_though_the_status_has_forgotten_it() -> None:
    assert size_of(now(gang(2, train()))) == 2


@pytest.mark.parametrize(
    "observed",
    [
        gang(2, train(elastic=DUE), room(), holding(0), holding(1)),
        gang(2, train(elastic=SHORT)),
        seen(
            status(train("Pending")),
            job(pods=4),
            pod(0),
            *(nowhere(index, SHRINKS_AFTER) for index in (1, 2, 3)),
            spec=elastic(),
        ),
    ],
    ids=["grows", "is short", "shrinks"],
)
def test_what_was_decided_is_decided_again_if_it_was_not_written_and_not_if_it_was(observed: Observed) -> None:
    first = now(observed)
    assert now(observed) == first
    again = now(seen(first.status, *observed.jobs, *observed.pods, spec=elastic()))
    assert again.status == first.status
