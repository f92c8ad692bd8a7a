"""The Job of an attempt: when it is done, when it has failed, and what starts its pods."""

from __future__ import annotations

from typing import Any

import pytest

from mtj_api import parse_job
from mtj_api.contract import PLAN_ANNOTATION, ExitCode
from mtj_operator.plan.objects import Object, Owner, children, stages_on_cluster
from mtj_operator.plan.settings import ClusterSettings
from support.jobs import text

TWO = {"model": {}, "training": {"nodes": 2}}
RAY = {"dataset": {"source": "s3://music/raw", "workers": {"nodes": 2}}}
QUEUE = {"scheduling": {"queue": "music"}}
PLAIN = ClusterSettings(trainer_image="trainer:1")
GANGS = ClusterSettings(trainer_image="trainer:1", gangs=True)


def made(stage: str, spec: dict[str, Any], settings: ClusterSettings = PLAIN, attempt: int = 1) -> dict[str, Object]:
    """What a stage takes, by kind."""
    job = parse_job(text(**{"dataset": {"source": "s3://music/raw"}, "output": "s3://music/out"} | spec)).job
    (one,) = (one for one in stages_on_cluster(job, settings).stages if one.name == stage)
    found = children(job, Owner("music", "chorales", "1-2-3"), one, attempt, settings)
    return {child.object["kind"]: child.object for child in found}


def spec_of(stage: str, spec: dict[str, Any], settings: ClusterSettings = PLAIN) -> dict[str, Any]:
    found: dict[str, Any] = made(stage, spec, settings)["Job"]["spec"]
    return found


def rules(spec: dict[str, Any]) -> list[tuple[str, Any]]:
    """Each rule of the failure policy as (action, exit codes or condition)."""
    return [
        (rule["action"], rule["onExitCodes"]["values"] if "onExitCodes" in rule else rule["onPodConditions"][0]["type"])
        for rule in spec["podFailurePolicy"]["rules"]
    ]


@pytest.mark.parametrize(
    ("stage", "spec"),
    [("train", TWO), ("train", {"model": {}}), ("prepare", {}), ("evaluate", {"model": {}})],
    ids=["two nodes that train", "one node that trains", "one node that prepares", "one pod that evaluates"],
)
def test_an_attempt_fails_with_its_first_pod(stage: str, spec: dict[str, Any]) -> None:
    job = spec_of(stage, spec)
    assert job["backoffLimit"] == 0
    assert rules(job) == [
        ("FailJob", [ExitCode.WRONG_JOB, ExitCode.PEER_LOST, ExitCode.INTERRUPTED]),
        ("FailJob", "DisruptionTarget"),
    ]
    assert "successPolicy" not in job


def test_preparing_goes_on_without_a_node_and_takes_it_back() -> None:
    job = spec_of("prepare", RAY)
    assert job["backoffLimitPerIndex"] == 0
    assert rules(job) == [("FailJob", [ExitCode.WRONG_JOB]), ("Ignore", "DisruptionTarget")]


def test_preparing_is_done_when_its_first_node_is() -> None:
    assert spec_of("prepare", RAY)["successPolicy"] == {"rules": [{"succeededIndexes": "0"}]}


@pytest.mark.parametrize(("stage", "spec"), [("train", TWO), ("prepare", RAY), ("publish", {"model": {}})])
def test_no_job_ends_or_vanishes_by_a_clock(stage: str, spec: dict[str, Any]) -> None:
    """One that vanished would be made again, and the deadline is the whole job's."""
    found = spec_of(stage, {**spec, "scheduling": {"deadlineSeconds": 60, "ttlSecondsAfterFinished": 60}})
    assert not {"ttlSecondsAfterFinished", "activeDeadlineSeconds"} & found.keys()
    assert "activeDeadlineSeconds" not in found["template"]["spec"]


@pytest.mark.parametrize(
    ("stage", "spec", "settings", "kinds"),
    [
        pytest.param("train", {"model": {}}, GANGS, ["ConfigMap", "Job"], id="one pod is no gang"),
        pytest.param("train", TWO, PLAIN, ["ConfigMap", "Service", "Job"], id="a cluster that has no gangs"),
        pytest.param("train", TWO, GANGS, ["ConfigMap", "Service", "Workload", "Job"], id="a cluster that has"),
        pytest.param("train", TWO | QUEUE, GANGS, ["ConfigMap", "Service", "Job"], id="Kueue does it"),
        pytest.param("prepare", RAY, GANGS, ["ConfigMap", "Service", "Job"], id="helpers may come late"),
    ],
)
def test_pods_start_together_where_all_are_needed(
    stage: str, spec: dict[str, Any], settings: ClusterSettings, kinds: list[str]
) -> None:
    found = made(stage, spec, settings)
    assert list(found) == kinds
    assert ("workloadRef" in found["Job"]["spec"]["template"]["spec"]) == ("Workload" in kinds)


def test_each_attempt_is_a_gang_of_its_own() -> None:
    """Pods of an attempt before, which may still be on their way out, do not count for it."""
    first, second = made("train", TWO, GANGS, attempt=1), made("train", TWO, GANGS, attempt=2)
    assert first["Workload"] == second["Workload"]
    gangs = [one["Job"]["spec"]["template"]["spec"]["workloadRef"] for one in (first, second)]
    assert [gang["podGroupReplicaKey"] for gang in gangs] == ["1", "2"]


@pytest.mark.parametrize("spec", [{"model": {}}, TWO], ids=["one pod", "two pods"])
def test_kueue_starts_what_waits_in_its_queue(spec: dict[str, Any]) -> None:
    job = made("train", spec | QUEUE)["Job"]
    assert job["spec"]["suspend"] is True
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "music"
    assert "kueue.x-k8s.io/queue-name" not in job["spec"]["template"]["metadata"]["labels"]


def test_the_pods_of_an_attempt_prefer_different_nodes() -> None:
    job = made("train", TWO, attempt=3)["Job"]
    (spread,) = job["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert (spread["topologyKey"], spread["whenUnsatisfiable"]) == ("kubernetes.io/hostname", "ScheduleAnyway")
    selector = spread["labelSelector"]["matchLabels"]
    assert selector.items() <= job["spec"]["template"]["metadata"]["labels"].items()
    assert selector["training.discomusica.io/attempt"] == "3"


@pytest.mark.parametrize(
    "spec",
    [{"training": {"nodes": 2, "steps": 7}}, {"scheduling": {"image": "trainer:2"}}],
    ids=["what is trained", "what trains"],
)
def test_a_job_tells_what_it_was_made_from(spec: dict[str, Any]) -> None:
    def hash_of(spec: dict[str, Any]) -> str:
        found: str = made("train", spec)["Job"]["metadata"]["annotations"][PLAN_ANNOTATION]
        return found

    assert hash_of(TWO) == hash_of(TWO)
    assert hash_of(TWO) != hash_of(TWO | spec)
