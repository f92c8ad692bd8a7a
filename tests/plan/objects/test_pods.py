"""The pods of a stage: what a job may say of them, and what stays the operator's whatever it says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings

from mtj_api import JobError, MusicTrainingJob, parse_job
from mtj_operator.plan.objects import Owner, children, stages_on_cluster
from mtj_operator.plan.settings import ClusterSettings
from support.arbitrary_jobs import jobs
from support.jobs import text

SETTINGS = ClusterSettings(trainer_image="trainer:1", storage_secret="s3", python="/opt/python")

UNREACHABLE = "node.kubernetes.io/unreachable"
OF_THE_POD = ("restartPolicy", "automountServiceAccountToken", "securityContext", "terminationGracePeriodSeconds")
OF_THE_CONTAINER = ("name", "command", "workingDir", "securityContext", "terminationMessagePath")


def pods(job: MusicTrainingJob, attempt: int = 1) -> dict[str, Any]:
    """The pod template of each stage."""
    owner = Owner("music", job.metadata.name, "1-2-3")
    stages = stages_on_cluster(job, SETTINGS).stages
    jobs = [children(job, owner, stage, attempt, SETTINGS)[-1].object for stage in stages]
    return {stage.name: one["spec"]["template"] for stage, one in zip(stages, jobs, strict=True)}


def pods_of(**spec: Any) -> dict[str, Any]:
    return pods(parse_job(text(**{"dataset": {"source": "s3://music/raw"}, "output": "s3://music/out"} | spec)).job)


def container(template: dict[str, Any]) -> dict[str, Any]:
    (found,) = template["spec"]["containers"]
    return dict(found)


def variables(template: dict[str, Any]) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in container(template)["env"]}


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(job=jobs())
def test_nothing_that_a_job_says_touches_what_is_the_operators(job: MusicTrainingJob) -> None:
    bare = job.model_copy(deep=True)
    bare.spec.scheduling = type(job.spec.scheduling)()
    try:
        templates = pods(job)
    except JobError:
        assume(False)
    for stage, plain in pods(bare).items():
        found = templates[stage]
        assert found["metadata"]["labels"].items() >= plain["metadata"]["labels"].items()
        for part in (
            "restartPolicy",
            "automountServiceAccountToken",
            "securityContext",
            "terminationGracePeriodSeconds",
        ):
            assert found["spec"][part] == plain["spec"][part]
        one, other = container(found), container(plain)
        for part in OF_THE_CONTAINER:
            assert one[part] == other[part]
        threads = {"name": "OMP_NUM_THREADS", "value": variables(plain)["OMP_NUM_THREADS"]}
        assert [variable for variable in other["env"] if variable != threads and variable not in one["env"]] == []
        assert [mount for mount in other["volumeMounts"] if mount not in one["volumeMounts"]] == []
        for named in (one["env"], found["spec"]["volumes"]):
            assert len({item["name"] for item in named}) == len(named)


@pytest.mark.parametrize(
    ("resources", "asked"),
    [
        pytest.param({}, {"requests": {"cpu": "1000m"}}, id="half a core a process where nothing is said"),
        pytest.param({"cpu": 3}, {"requests": {"cpu": "3"}}, id="cores, and no limit of them"),
        pytest.param(
            {"memory": "16Gi"},
            {"requests": {"cpu": "1000m", "memory": "16Gi"}, "limits": {"memory": "16Gi"}},
            id="memory, and no more of it",
        ),
        pytest.param(
            {"gpus": 2},
            {"requests": {"cpu": "1000m", "amd.com/gpu": "2"}, "limits": {"amd.com/gpu": "2"}},
            id="devices by their name",
        ),
    ],
)
def test_a_pod_asks_for_what_the_job_says(resources: dict[str, Any], asked: dict[str, Any]) -> None:
    scheduling = {"gpuResource": "amd.com/gpu", "resources": {"train": resources}}
    train = pods_of(model={}, training={"processesPerNode": 2}, scheduling=scheduling)["train"]
    assert container(train)["resources"] == asked


def test_report_and_publish_ask_for_what_evaluate_does_but_leave_devices_to_others() -> None:
    found = pods_of(model={}, scheduling={"resources": {"evaluate": {"cpu": 2, "memory": "4Gi", "gpus": 1}}})
    memory = {"memory": "4Gi"}
    for stage in ("report", "publish"):
        assert container(found[stage])["resources"] == {"requests": {"cpu": "2", **memory}, "limits": memory}
    assert container(found["evaluate"])["resources"]["limits"] == {**memory, "nvidia.com/gpu": "1"}


@pytest.mark.parametrize(("cpu", "threads"), [("8", "4"), ("3500m", "1"), ("500m", "1"), (None, "1")])
def test_training_processes_share_the_cores_that_a_pod_asks_for(cpu: str | None, threads: str) -> None:
    resources = {"train": {"cpu": cpu} if cpu else {}}
    found = pods_of(model={}, training={"processesPerNode": 2}, scheduling={"resources": resources})
    assert variables(found["train"])["OMP_NUM_THREADS"] == threads


def test_shared_memory_is_at_most_what_the_pod_may_have() -> None:
    found = pods_of(model={}, scheduling={"resources": {"train": {"memory": "4Gi"}}})
    shared = {stage: template["spec"]["volumes"][3]["emptyDir"] for stage, template in found.items()}
    assert shared["train"] == {"medium": "Memory", "sizeLimit": "4Gi"}
    assert shared["evaluate"] == {"medium": "Memory"}


@pytest.mark.parametrize(("scheduling", "secret"), [({}, "s3"), ({"storageSecret": "mine"}, "mine")])
def test_credentials_come_from_a_secret_alone(scheduling: dict[str, Any], secret: str) -> None:
    for template in pods_of(model={}, scheduling=scheduling).values():
        assert container(template)["envFrom"] == [{"secretRef": {"name": secret}}]


@pytest.mark.parametrize(("scheduling", "image"), [({}, "trainer:1"), ({"image": "mine:2"}, "mine:2")])
def test_a_job_may_bring_its_own_image(scheduling: dict[str, Any], image: str) -> None:
    found = pods_of(scheduling=scheduling)["prepare"]
    assert (container(found)["image"], container(found)["command"][0]) == (image, "/opt/python")


def test_prometheus_finds_every_training_process() -> None:
    """Without a port in the annotations its usual discovery asks each port that a container declares."""
    found = pods_of(model={}, training={"processesPerNode": 2}, monitoring={"metricsPort": 9000})
    assert container(found["train"])["ports"] == [
        {"name": "metrics-0", "containerPort": 9000},
        {"name": "metrics-1", "containerPort": 9001},
    ]
    scraped = {"prometheus.io/scrape": "true", "prometheus.io/path": "/metrics"}
    assert found["train"]["metadata"]["annotations"] == scraped
    assert "annotations" not in found["evaluate"]["metadata"]


def test_pods_of_several_nodes_know_each_other_and_others_nobody() -> None:
    found = pods_of(model={}, training={"nodes": 2})
    assert found["train"]["spec"]["subdomain"] == "chorales"
    assert variables(found["train"])["MTJ_FIRST_HOST"] == "chorales-train-1-0.chorales"
    assert variables(found["train"])["MTJ_GANG"] == "1-2-3-1"
    assert "subdomain" not in found["evaluate"]["spec"]
    assert "MTJ_GANG" not in variables(found["evaluate"])


def test_every_process_knows_which_attempt_it_belongs_to() -> None:
    job = parse_job(text(dataset={"source": "s3://music/raw"}, model={}, output="s3://music/out")).job
    (name,) = {variables(template)["MTJ_ATTEMPT"] for template in pods(job, attempt=7).values()}
    assert name.endswith("-7")


@pytest.mark.parametrize(
    ("given", "stays"),
    [
        pytest.param([], {"not-ready": 30, "unreachable": 30}, id="nothing said"),
        pytest.param(
            [{"key": UNREACHABLE, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 600}],
            {"not-ready": 30, "unreachable": 600},
            id="one said",
        ),
        pytest.param([{"operator": "Exists"}], {"": None}, id="every taint"),
        pytest.param(
            [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
            {"gpu": None, "not-ready": 30, "unreachable": 30},
            id="another taint",
        ),
    ],
)
def test_a_node_that_does_not_answer_keeps_its_pods_for_half_a_minute(
    given: list[dict[str, Any]], stays: dict[str, int | None]
) -> None:
    found = pods_of(model={}, scheduling={"tolerations": given})["train"]["spec"]["tolerations"]
    told = {one.get("key", "").rpartition("/")[2]: one.get("tolerationSeconds") for one in found}
    assert told == stays
