"""Whole stories of jobs, from the first child to the last Event, on a cluster in memory."""

from __future__ import annotations

import pytest

from mtj_operator.plan.story import decide
from support.cluster_model import ClusterModel
from support.stories import SETTINGS, play, reconcile
from support.tales import TALES

EVERY_STAGE = ("prepare", "train", "evaluate", "report", "publish")
ONCE = (1, 0, 0)


def rows(cluster: ClusterModel) -> dict[str, tuple[int, int, int]]:
    """(attempt, retries, disruptions) of each stage that is done."""
    return {
        row["name"]: (row["attempt"], row["retries"], row["disruptions"])
        for row in cluster.status.get("stages", [])
        if row["state"] == "Succeeded"
    }


def turns(cluster: ClusterModel) -> list[str]:
    """The reasons of the Events, without those of stages that begin and are done."""
    reasons = [reason for reason, _ in cluster.events.values()]
    return [reason for reason in reasons if reason not in ("StageStarted", "StageSucceeded")]


@pytest.mark.parametrize(
    ("tale", "unusual", "told"),
    [
        ("all goes well", {}, ["Succeeded"]),
        ("stages that fail once", {"prepare": (2, 1, 0), "train": (2, 1, 0)}, ["Retrying", "Retrying", "Succeeded"]),
        ("helpers that do not end by themselves", {"prepare": (2, 1, 0)}, ["Retrying", "Succeeded"]),
        ("preempted", {"train": (2, 0, 1)}, ["Disrupted", "Succeeded"]),
        ("a head that is evicted", {"prepare": (2, 0, 1)}, ["Disrupted", "Succeeded"]),
        ("a helper that comes back", {}, ["Succeeded"]),
        ("a node that is lost", {"train": (2, 0, 1)}, ["Disrupted", "Succeeded"]),
        ("a node that is lost while its peers wait", {"train": (2, 0, 1)}, ["Disrupted", "Succeeded"]),
        ("a node that is lost with helpers", {}, ["Succeeded"]),
        ("a node that is known to be lost", {"train": (2, 0, 1)}, ["Disrupted", "Succeeded"]),
        (
            "a node that is lost and comes back",
            {"train": (4, 0, 1)},
            ["Disrupted", "Shrunk", "Grown", "Succeeded"],
        ),
        ("room for one node alone", {"train": (2, 0, 0)}, ["Shrunk", "Succeeded"]),
        ("suspended and resumed", {"train": (2, 0, 0)}, ["Suspended", "Resumed", "Succeeded"]),
        ("resumed while its pods end", {"train": (2, 0, 0)}, ["Succeeded"]),
        ("suspended from the start", {}, ["Suspended", "Resumed", "Succeeded"]),
        ("an earlier job of this name", {}, ["Succeeded"]),
        ("a Job that is deleted by hand", {"train": (2, 0, 1)}, ["Disrupted", "Succeeded"]),
        ("a Job that is deleted by hand before its pods run", {}, ["Succeeded"]),
        ("all is deleted by hand in the end", {}, ["Succeeded"]),
        ("a queue", {}, ["Succeeded"]),
        ("preempted by its queue", {"train": (2, 0, 0)}, ["Retrying", "Succeeded"]),
        ("takes its model from another job", {"prepare": (2, 1, 0)}, ["Retrying", "Succeeded"]),
        ("many disruptions", {"train": (5, 0, 4)}, ["Disrupted"] * 4 + ["Succeeded"]),
    ],
)
def test_a_job_is_done_in_the_end(tale: str, unusual: dict[str, tuple[int, int, int]], told: list[str]) -> None:
    cluster = play(TALES[tale])
    assert cluster.status["state"] == "Succeeded"
    assert rows(cluster) == dict.fromkeys(EVERY_STAGE, ONCE) | unusual
    assert turns(cluster) == told


@pytest.mark.parametrize(
    ("tale", "done", "told", "message"),
    [
        (
            "no retry is left",
            ["prepare"],
            ["Retrying", "Retrying", "StageFailed", "Failed"],
            "train: it failed 3 times, the last time: the system ended it, as it ran out of memory; raise",
        ),
        ("data that cannot work", ["prepare"], ["StageFailed", "WrongJob"], "train: there are no notes; add some"),
        (
            "out of time",
            ["prepare"],
            ["DeadlineExceeded"],
            "train: it was not done within the 60 s of scheduling.deadlineSeconds; what it saved",
        ),
        (
            "a spec that cannot work",
            [],
            ["WrongJob"],
            "spec.output: ./out is relative to a working directory, which pods do not share; write s3://bucket/prefix",
        ),
    ],
)
def test_a_job_fails_with_a_sentence_and_leaves_nothing_running(
    tale: str, done: list[str], told: list[str], message: str
) -> None:
    cluster = play(TALES[tale])
    assert cluster.status["state"] == "Failed"
    assert cluster.status["message"].startswith(message)
    assert list(rows(cluster)) == done
    assert turns(cluster) == told
    assert not [pod for pod in cluster.pods if not pod.stopped]
    assert not [job for job in cluster.jobs.values() if job.ended is None]


def test_all_that_a_job_makes_is_made_once_and_told_once() -> None:
    cluster = play(TALES["all goes well"])
    made = [write for write in cluster.writes if write.startswith("make")]
    assert made == [
        "make ConfigMap chorales-job",
        "make Service chorales",
        *(f"make Job chorales-{stage}-1" for stage in EVERY_STAGE),
    ]
    started = [f"{stage}-1-started" for stage in EVERY_STAGE]
    succeeded = [f"{stage}-succeeded" for stage in EVERY_STAGE]
    pairs = [key for pair in zip(started, succeeded, strict=True) for key in pair]
    assert list(cluster.events) == [*pairs, "succeeded"]


def test_a_job_with_a_ttl_takes_itself_away() -> None:
    cluster = play(TALES["kept for a minute"])
    assert cluster.gone
    assert turns(cluster) == ["Succeeded"]


def test_a_long_row_of_disruptions_leaves_two_attempts_behind() -> None:
    cluster = play(TALES["many disruptions"])
    assert [name for name in cluster.jobs if "train" in name] == ["chorales-train-4", "chorales-train-5"]


@pytest.mark.parametrize("tale", TALES)
def test_a_restart_at_the_end_writes_nothing(tale: str) -> None:
    cluster = play(TALES[tale])
    before = len(cluster.writes)
    reconcile(cluster)
    assert cluster.writes[before:] == []


def test_what_a_job_waits_for_is_right_at_each_moment() -> None:
    cluster = ClusterModel(TALES["preempted"].spec, TALES["preempted"].fates)
    told: list[str] = []
    for _ in range(40):
        reconcile(cluster)
        message = cluster.status["message"].partition(";")[0]
        if message not in told[-1:]:
            told.append(message)
        cluster.tick()
    assert told[:8] == [
        "prepare: waits for its pods",
        "prepare: runs on 2 pods",
        "train: waits for its pods",
        "train: runs on 2 pods",
        "train: it has ended",
        "train: waits for its pods",
        "train: runs on 2 pods, attempt 2",
        "evaluate: waits for its pods",
    ]


def test_a_decision_changes_nothing_that_it_is_made_from() -> None:
    cluster = ClusterModel(TALES["all goes well"].spec, TALES["all goes well"].fates)
    seen = cluster.observe()
    assert decide(seen, SETTINGS, cluster.now) == decide(seen, SETTINGS, cluster.now)
