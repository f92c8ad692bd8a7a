"""The test cluster has what the operator relies on: nodes, names, Pod Security, gangs, volumes and storage."""

from __future__ import annotations

from typing import Any

import obstore
import pytest

from support.cluster import TRAINER_IMAGE, Cluster
from support.kubectl import Kubectl, KubectlError
from support.prometheus import Prometheus
from support.seaweedfs import BUCKET, S3Server
from support.witness import eventually

pytestmark = pytest.mark.slow

MEET = """
import os, socket
if os.environ["JOB_COMPLETION_INDEX"] == "0":
    with socket.create_server(("", 29400)) as server:
        server.accept()[0].close()
else:
    while True:
        try:
            socket.create_connection(("meeting-0.meeting", 29400)).close()
            break
        except OSError as error:
            print(error, flush=True)
"""

STORE = f"""
import os, obstore
from obstore.store import S3Store
store = S3Store("{BUCKET}", client_options={{"allow_http": True}})
obstore.put(store, "from-a-pod", b"written in a pod")
"""


def pod(program: str, **container: Any) -> dict[str, Any]:
    """The spec of a pod that runs a Python program under Pod Security "restricted"."""
    volumes = container.pop("volumes", [])
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "volumes": [*volumes, {"name": "tmp", "emptyDir": {}}],
        "containers": [
            {
                "name": "stage",
                "image": TRAINER_IMAGE,
                "command": ["python3", "-c", program],
                "resources": {"requests": {"cpu": "200m"}},
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                    "readOnlyRootFilesystem": True,
                },
                **container,
                "volumeMounts": [*container.get("volumeMounts", []), {"name": "tmp", "mountPath": "/tmp"}],
            }
        ],
    }


def job(name: str, spec: dict[str, Any], pods: int = 1, labels: dict[str, str] | None = None) -> dict[str, Any]:
    template = {"metadata": {"labels": labels or {}}, "spec": spec}
    counts = {"completions": pods, "parallelism": pods, "completionMode": "Indexed", "backoffLimit": 0}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {**counts, "template": template},
    }


def gang(name: str, pods: int, cpu: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A Workload, and a Job whose pods are all started or none."""
    workload = {
        "apiVersion": "scheduling.k8s.io/v1alpha1",
        "kind": "Workload",
        "metadata": {"name": name},
        "spec": {"podGroups": [{"name": "pods", "policy": {"gang": {"minCount": pods}}}]},
    }
    spec = pod("print('started')", resources={"requests": {"cpu": cpu}})
    return workload, job(name, {**spec, "workloadRef": {"name": name, "podGroup": "pods"}}, pods)


def has_no_place(pod: dict[str, Any]) -> bool:
    """Whether the scheduler has looked for a place for the pod, and found none."""
    conditions = {one["type"]: one for one in pod["status"].get("conditions", [])}
    return bool(conditions.get("PodScheduled", {}).get("reason") == "Unschedulable")


def test_two_nodes_are_ready(cluster: Cluster) -> None:
    nodes = cluster.kubectl.list("nodes")
    assert [node["metadata"]["name"] for node in nodes] == ["node1", "node2"]
    for node in nodes:
        assert {one["type"]: one["status"] for one in node["status"]["conditions"]}["Ready"] == "True"


def test_pods_on_two_nodes_find_each_other_by_name(namespace: Kubectl) -> None:
    apart = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule"}
    labels = {"app": "meeting"}
    spec = pod(MEET) | {
        "subdomain": "meeting",
        "topologySpreadConstraints": [apart | {"labelSelector": {"matchLabels": labels}}],
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "meeting"},
        "spec": {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": labels},
    }
    namespace.apply(service, job("meeting", spec, pods=2, labels=labels))
    namespace.wait("job/meeting", "condition=Complete")
    assert {one["spec"]["nodeName"] for one in namespace.list("pods")} == {"node1", "node2"}


def test_a_pod_that_would_be_root_is_refused(namespace: Kubectl) -> None:
    root = pod("") | {"securityContext": {"runAsUser": 0}}
    with pytest.raises(KubectlError, match='violates PodSecurity "restricted'):
        namespace.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "root"}, "spec": root})


def test_of_a_gang_that_is_too_large_not_one_pod_starts_and_all_of_one_that_fits(
    cluster: Cluster, namespace: Kubectl
) -> None:
    most_of_a_node = f"{int(cluster.kubectl.get('node', 'node1')['status']['allocatable']['cpu']) * 1000 - 600}m"
    namespace.apply(*gang("too-large", pods=3, cpu=most_of_a_node))
    eventually(lambda: any(map(has_no_place, namespace.list("pods"))))
    assert [one["spec"].get("nodeName") for one in namespace.list("pods")] == [None] * 3
    namespace("delete", "job", "too-large")
    namespace.apply(*gang("fits", pods=2, cpu=most_of_a_node))
    namespace.wait("job/fits", "condition=Complete")


def test_a_restricted_pod_loads_what_stages_load_and_reaches_storage_with_a_secret(
    namespace: Kubectl, s3: S3Server, python_packages: dict[str, Any]
) -> None:
    program = "import deepspeed, mtj_trainer, ray, torch\n" + STORE
    secret = [{"secretRef": {"name": "s3"}}]
    namespace.apply(job("store", pod(program, envFrom=secret, **python_packages)))
    namespace.wait("job/store", "condition=Complete", 120)
    assert obstore.get(s3.store, "from-a-pod").bytes() == b"written in a pod"


def test_prometheus_scrapes_a_pod_that_says_so(namespace: Kubectl, prometheus: Prometheus) -> None:
    serve = pod(
        "import http.server\n"
        "class Metrics(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.send_response(200)\n"
        "        self.end_headers()\n"
        "        self.wfile.write(b'answer 42\\n')\n"
        "http.server.HTTPServer(('', 9400), Metrics).serve_forever()\n",
        ports=[{"name": "metrics", "containerPort": 9400}],
    )
    annotations = {"prometheus.io/scrape": "true", "prometheus.io/path": "/metrics"}
    metadata = {"name": "figures", "annotations": annotations, "labels": {"stage": "train"}}
    namespace.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": serve})
    series = f'answer{{namespace="{namespace.namespace}"}}'
    eventually(lambda: len(prometheus.query(series)) == 1, 60)
    (found,) = prometheus.query(series)
    assert found["value"][1] == "42"
    assert found["metric"]["pod"] == "figures"
    assert found["metric"]["stage"] == "train"
