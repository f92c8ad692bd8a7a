"""What a job may never ask of a cluster: it has no words for it, or is refused; and all that is made stays confined."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings

from mtj_api import JobError, MusicTrainingJob, parse_job
from mtj_api.crd import custom_resource_definition
from mtj_operator.plan.objects import Object, Owner, children, stages_on_cluster
from mtj_operator.plan.settings import ClusterSettings
from support.arbitrary_jobs import jobs
from support.cluster_plans import CASES, Case
from support.jobs import text

KINDS = {"ConfigMap", "Service", "Job", "Workload"}
VOLUMES = {"configMap", "emptyDir", "secret", "persistentVolumeClaim"}
"""Of those that Pod Security "restricted" allows."""

BEYOND_RESTRICTED: dict[str, dict[str, Any]] = {
    "the network of the node": {"podTemplate": {"hostNetwork": True}},
    "the processes of the node": {"podTemplate": {"hostPID": True}},
    "the memory of the node": {"podTemplate": {"hostIPC": True}},
    "users of the node": {"podTemplate": {"hostUsers": True}},
    "a privileged pod": {"podTemplate": {"securityContext": {"privileged": True}}},
    "the user root": {"podTemplate": {"securityContext": {"runAsUser": 0}}},
    "a system call filter of its own": {"podTemplate": {"securityContext": {"seccompProfile": {}}}},
    "capabilities": {"podTemplate": {"capabilities": {"add": ["SYS_ADMIN"]}}},
    "a container of its own": {"podTemplate": {"containers": [{"name": "x"}]}},
    "a container before": {"podTemplate": {"initContainers": [{"name": "x"}]}},
    "a command of its own": {"podTemplate": {"command": ["sh"]}},
    "a token of the cluster": {"podTemplate": {"automountServiceAccountToken": True}},
    "a runtime of its own": {"podTemplate": {"runtimeClassName": "x"}},
    "a node without the scheduler": {"podTemplate": {"nodeName": "x"}},
    "a namespace of its own": {"podTemplate": {"namespace": "kube-system"}},
    **{
        f"a volume of the kind {kind}": {"podTemplate": {"volumes": [{"name": "x", "mountPath": "/x", kind: {}}]}}
        for kind in ("hostPath", "emptyDir", "projected", "csi", "nfs", "iscsi", "downwardAPI", "ephemeral", "image")
    },
    "a Secret of another namespace by its field": {
        "podTemplate": {
            "env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "x", "key": "k", "namespace": "other"}}}]
        }
    },
    "a field of its pod": {"podTemplate": {"env": [{"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}]}},
}

OF_ANOTHER_NAMESPACE: dict[str, dict[str, Any]] = {
    "a Secret in the environment": {
        "scheduling": {
            "podTemplate": {"env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "other/x", "key": "k"}}}]}
        }
    },
    "a Secret for the storage": {"scheduling": {"storageSecret": "other/x"}},
    "a Secret for the registry": {"scheduling": {"podTemplate": {"imagePullSecrets": ["other/x"]}}},
    "a Secret as files": {
        "scheduling": {"podTemplate": {"volumes": [{"name": "x", "mountPath": "/x", "secret": "other/x"}]}}
    },
    "a ConfigMap as files": {
        "scheduling": {"podTemplate": {"volumes": [{"name": "x", "mountPath": "/x", "configMap": "other/x"}]}}
    },
    "a claim": {
        "scheduling": {
            "podTemplate": {
                "volumes": [{"name": "x", "mountPath": "/x", "persistentVolumeClaim": {"claimName": "other/x"}}]
            }
        }
    },
    "a service account": {"scheduling": {"podTemplate": {"serviceAccountName": "other/x"}}},
    "a job's data": {"dataset": {"from": {"job": "other/x"}}},
}

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "the priority of what a cluster runs on": (
        {"priorityClassName": "system-node-critical"},
        "spec.scheduling.priorityClassName: the priority system-node-critical is for what a cluster itself runs on",
    ),
    "no AppArmor": (
        {"podTemplate": {"annotations": {"container.apparmor.security.beta.kubernetes.io/stage": "unconfined"}}},
        "decides how a pod is confined; leave it out",
    ),
    "no filter of system calls": (
        {"podTemplate": {"annotations": {"seccomp.security.alpha.kubernetes.io/pod": "unconfined"}}},
        "decides how a pod is confined; leave it out",
    ),
}


def written(**spec: Any) -> str:
    return text(**{"dataset": {"source": "s3://music/raw"}, "output": "s3://music/out"} | spec)


def made(job: MusicTrainingJob, namespace: str = "music") -> list[Object]:
    """All that the operator makes for a job."""
    cluster = ClusterSettings(trainer_image="trainer:1", gangs=True)
    owner = Owner(namespace, job.metadata.name, "1-2-3")
    stages = stages_on_cluster(job, cluster).stages
    return [child.object for stage in stages for child in children(job, owner, stage, 1, cluster)]


def confined(one: Object) -> None:
    """What Pod Security "restricted" and a bit more ask of a Job's pods."""
    pod = one["spec"]["template"]["spec"]
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers", "ephemeralContainers", "nodeName"} & set(pod)
    assert pod["automountServiceAccountToken"] is False
    context = pod["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["runAsUser"] > 0
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    for volume in pod["volumes"]:
        assert set(volume) - {"name"} <= VOLUMES
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
        assert not any("hostPort" in port for port in container.get("ports", []))


@pytest.mark.parametrize("case", CASES, ids=[case.folder.name for case in CASES])
def test_every_pod_of_the_golden_plans_is_confined(case: Case) -> None:
    objects = [one for one in made(case.job) if one["kind"] == "Job"]
    assert objects
    for one in objects:
        confined(one)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(job=jobs())
def test_no_job_makes_anything_unconfined_or_outside_of_its_namespace(job: MusicTrainingJob) -> None:
    try:
        objects = made(job, "theirs")
    except JobError:
        assume(False)
    assert {one["kind"] for one in objects} <= KINDS
    for one in objects:
        assert one["metadata"]["namespace"] == "theirs"
        if one["kind"] == "Job":
            confined(one)
        if one["kind"] == "Service":
            assert one["spec"]["clusterIP"] == "None"
            assert not {"type", "externalIPs", "externalName", "ports"} & set(one["spec"])


@pytest.mark.parametrize("scheduling", BEYOND_RESTRICTED.values(), ids=BEYOND_RESTRICTED)
def test_a_job_has_no_words_for(scheduling: dict[str, Any]) -> None:
    with pytest.raises(JobError, match="there is no such field"):
        parse_job(written(scheduling=scheduling))


def test_the_api_server_keeps_no_field_that_the_resource_does_not_have() -> None:
    assert "preserve-unknown-fields" not in str(custom_resource_definition())


@pytest.mark.parametrize("spec", OF_ANOTHER_NAMESPACE.values(), ids=OF_ANOTHER_NAMESPACE)
def test_a_job_cannot_name_what_is_in_another_namespace(spec: dict[str, Any]) -> None:
    with pytest.raises(JobError, match="has the wrong form"):
        parse_job(written(**spec))


@pytest.mark.parametrize(("scheduling", "sentence"), REFUSED.values(), ids=REFUSED)
def test_a_cluster_refuses(scheduling: dict[str, Any], sentence: str) -> None:
    with pytest.raises(JobError) as refused:
        made(parse_job(written(scheduling=scheduling)).job)
    assert sentence in str(refused.value)


def test_a_service_account_gives_its_pods_no_token() -> None:
    job = parse_job(written(scheduling={"podTemplate": {"serviceAccountName": "cluster-admin"}})).job
    for one in made(job):
        if one["kind"] == "Job":
            assert one["spec"]["template"]["spec"]["automountServiceAccountToken"] is False
