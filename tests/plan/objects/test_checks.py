"""What a job may not ask of a cluster: refused before its first stage, with a sentence that says what to write."""

from __future__ import annotations

from typing import Any

import pytest

from mtj_api import JobError, parse_job
from mtj_operator.plan.objects import stages_on_cluster
from mtj_operator.plan.objects.checks import OTHERS_DOMAINS
from mtj_operator.plan.settings import ClusterSettings
from support.cluster_plans import CASES
from support.jobs import text

CLAIM = {"persistentVolumeClaim": {"claimName": "music"}}


def refusal(name: str = "chorales", **spec: Any) -> str:
    """Why a cluster does not take a job."""
    written = text(**{"dataset": {"source": "s3://music/raw"}, "output": "s3://music/out"} | spec)
    job = parse_job(written, settings=[f"metadata.name={name}"]).job
    with pytest.raises(JobError) as refused:
        stages_on_cluster(job, ClusterSettings(trainer_image="trainer:1"))
    return str(refused.value)


def template(**pods: Any) -> dict[str, Any]:
    return {"scheduling": {"podTemplate": pods}}


def volume(name: str = "music", path: str = "/music") -> dict[str, Any]:
    return template(volumes=[{"name": name, "mountPath": path, **CLAIM}])


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        pytest.param(
            {"output": "./out"},
            "spec.output: ./out is relative to a working directory, which pods do not share; write s3://bucket/prefix, "
            "or a path on a persistentVolumeClaim of scheduling.podTemplate.volumes",
            id="a place that pods do not have",
        ),
        pytest.param(
            {"model": {}, "training": {"nodes": 2}, "monitoring": {"metricsPort": 29400}},
            "spec.monitoring.metricsPort: the port 29400, where training processes of several nodes meet, would also "
            "serve metrics; write another, such as 9640",
            id="metrics where processes meet",
        ),
        pytest.param(
            {
                "model": {},
                "training": {"nodes": 2, "processesPerNode": 4},
                "monitoring": {"metricsPort": 29397},
            },
            "spec.monitoring.metricsPort: the port 29400, where training processes of several nodes meet, would also "
            "serve metrics; write another, such as 9640",
            id="metrics of the last process where processes meet",
        ),
        pytest.param(
            {"scheduling": {"resources": {"prepare": {"memory": "512m"}}}},
            "spec.scheduling.resources.prepare.memory: 512m is no whole number of bytes; write 512Mi",
            id="thousandths of a byte",
        ),
        pytest.param(
            {"scheduling": {"resources": {"evaluate": {"memory": "0.1Gi"}}}},
            "spec.scheduling.resources.evaluate.memory: 0.1Gi is no whole number of bytes; write 103Mi",
            id="a part of a byte",
        ),
        pytest.param(
            {"scheduling": {"resources": {"prepare": {"memory": "10P"}}}},
            "spec.scheduling.resources.prepare.memory: 10P is more memory than any node has; write less, such as 64Gi",
            id="a hundred thousand times too much memory",
        ),
        pytest.param(
            template(env=[{"name": "HOME", "value": "/root"}]),
            "spec.scheduling.podTemplate.env: the variable HOME is the operator's own; leave it out",
            id="the home folder",
        ),
        pytest.param(
            template(env=[{"name": "OMP_NUM_THREADS", "value": "8"}]),
            "spec.scheduling.podTemplate.env: the variable OMP_NUM_THREADS is the operator's own; leave it out",
            id="threads, which follow from the cores",
        ),
        pytest.param(
            template(labels={"job-name": "mine"}),
            "spec.scheduling.podTemplate.labels: job-name is how Kubernetes, Kueue or the operator itself knows a pod; "
            "leave it out",
            id="a label by which Kubernetes counts",
        ),
        pytest.param(
            template(labels={"kueue.x-k8s.io/queue-name": "mine"}),
            "spec.scheduling.podTemplate.labels: kueue.x-k8s.io/queue-name is how Kubernetes, Kueue or the operator "
            "itself knows a pod; leave it out",
            id="a label by which Kueue would hold single pods back",
        ),
        pytest.param(
            template(annotations={"batch.kubernetes.io/job-completion-index": "0"}),
            "spec.scheduling.podTemplate.annotations: batch.kubernetes.io/job-completion-index is how Kubernetes, "
            "Kueue or the operator itself knows a pod; leave it out",
            id="an annotation that tells pods apart",
        ),
        pytest.param(
            volume(name="mtj-work"),
            "spec.scheduling.podTemplate.volumes: the volume mtj-work is the operator's own; give yours another name",
            id="a volume of the operator's",
        ),
        pytest.param(
            volume(path="/etc"),
            "spec.scheduling.podTemplate.volumes: /etc is no folder for a volume; write one that a pod has no use for "
            "itself, such as /music",
            id="a folder above one of the operator's",
        ),
        pytest.param(
            volume(path="/music/../work"),
            "spec.scheduling.podTemplate.volumes: /music/../work is no folder for a volume; write one that a pod has "
            "no use for itself, such as /music",
            id="a detour to one of the operator's",
        ),
    ],
)
def test_it_is_refused_with_a_sentence(spec: dict[str, Any], sentence: str) -> None:
    assert refusal(**spec) == sentence


@pytest.mark.parametrize(
    "spec",
    [{"model": {}, "training": {"nodes": 2}}, {"dataset": {"source": "s3://a/b", "workers": {"nodes": 2}}}],
    ids=["train", "prepare"],
)
def test_a_name_that_a_service_cannot_have_is_refused_where_one_is_needed(spec: dict[str, Any]) -> None:
    assert refusal("2024-chorales", **spec) == (
        "metadata.name: 2024-chorales begins with a digit, which the Service that several pods find each other by may "
        "not; write a name that begins with a letter, such as mtj-2024-chorales"
    )


def test_a_name_may_begin_with_a_digit_where_pods_are_alone() -> None:
    job = parse_job(text(dataset={"source": "s3://a/b"}, output="s3://a/c"), settings=["metadata.name=1st"]).job
    stages_on_cluster(job, ClusterSettings(trainer_image="trainer:1"))


def test_all_that_the_operator_writes_is_its_own() -> None:
    """The check knows every variable and label that pods have without the job's doing."""
    from mtj_operator.plan.objects.environment import OWN

    for case in CASES:
        given = case.job.spec.scheduling.pod_template
        for job in (one for one in case.objects(*case.stages) if one["kind"] == "Job"):
            pod = job["spec"]["template"]
            variables = {variable["name"] for variable in pod["spec"]["containers"][0].get("env", ())}
            for name in variables - {variable.name for variable in given.env}:
                assert name in OWN or name.startswith("MTJ_")
            for key in pod["metadata"]["labels"].keys() - given.labels.keys():
                assert key.startswith((*OTHERS_DOMAINS, "app.kubernetes.io/"))
