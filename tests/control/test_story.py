"""A job's way through the operator on a real API server, under the rights that ship; the test plays the kubelets."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from support.kubectl import Kubectl
from support.kubelets import STAGE_LABEL, Fate, Kubelet, done
from support.kubernetes_http import Http
from support.operated_jobs import document, stage, status, wait_for, wait_for_job
from support.operator_process import Start
from support.ports import free_ports
from support.witness import eventually

pytestmark = pytest.mark.slow

STAGES = ["prepare", "train", "evaluate", "report", "publish"]
CHILDREN = ("jobs", "pods", "configmaps", "services")


def children(kubectl: Kubectl) -> list[str]:
    """Everything that the operator made, as kind/name."""
    ours = "app.kubernetes.io/managed-by=mtj-operator"
    return [f"{kind}/{one['metadata']['name']}" for kind in CHILDREN for one in kubectl.list(kind, ours)]


def test_a_job_goes_from_apply_to_succeeded(kubectl: Kubectl, http: Http, start: Start) -> None:
    with start() as operator, Kubelet(http, kubectl.namespace).working():
        kubectl.apply(document())
        kubectl.wait("mtj/chorales", "condition=Succeeded", 120)
        found = kubectl.get("mtj", "chorales")
        assert "finalizers" not in found["metadata"]
        assert found["status"]["state"] == "Succeeded"
        assert [(row["name"], row["state"], row["attempt"]) for row in found["status"]["stages"]] == [
            (name, "Succeeded", 1) for name in STAGES
        ]
        assert found["status"]["checkpoint"] == {"step": 100, "url": "s3://music/out/checkpoints/100"}
        assert found["status"]["evaluation"] == {"heldout.nll": 0.5}
        for job in kubectl.list("jobs"):
            (owner,) = job["metadata"]["ownerReferences"]
            assert (owner["uid"], owner["controller"], owner["blockOwnerDeletion"]) == (
                found["metadata"]["uid"],
                True,
                False,
            )
        events = [one for one in kubectl.list("events") if one["involvedObject"]["kind"] == "MusicTrainingJob"]
        assert len({one["metadata"]["name"] for one in events}) == len(events) >= len(STAGES)
        assert operator.metric("mtj_operator_jobs", state="Succeeded") == 1.0
        assert operator.metric("mtj_operator_reconcile_errors_total") == 0.0


@pytest.mark.parametrize("first", ["base", "chorales"])
def test_a_job_that_starts_from_another_waits_for_it(kubectl: Kubectl, http: Http, start: Start, first: str) -> None:
    pair = {"base": document("base", output="s3://music/base"), "chorales": document(model={"from": {"job": "base"}})}
    with start() as operator, Kubelet(http, kubectl.namespace, lambda _: Fate(code=None)).working() as kubelet:
        kubectl.apply(pair.pop(first))
        wait_for(kubectl, lambda found: "stage" in found, first)
        kubectl.apply(*pair.values())
        wait_for(kubectl, lambda found: "waits for job base, which is at stage prepare" in found.get("message", ""))
        kubelet.fate = done
        kubectl.wait("mtj/chorales", "condition=Succeeded", 120)
        assert status(kubectl)["sources"] == {"base": "s3://music/base"}
        read = kubectl.get("configmap", "chorales-job")["data"]["job.json"]
        assert json.loads(read)["spec"]["model"]["pretrained"] == "s3://music/base/model"
        assert operator.metric("mtj_operator_reconcile_errors_total") == 0.0


def test_a_deleted_job_takes_all_its_children_along(kubectl: Kubectl, http: Http, start: Start) -> None:
    with start() as operator, Kubelet(http, kubectl.namespace, lambda _: Fate(code=None)).working():
        kubectl.apply(document(training={"nodes": 2}, dataset={"source": "s3://music/raw", "workers": {"nodes": 2}}))
        wait_for(kubectl, lambda found: found.get("state") == "Running")
        assert {child.split("/")[0] for child in children(kubectl)} == set(CHILDREN)
        kubectl("delete", "mtj", "chorales", "--timeout=30s")
        eventually(lambda: children(kubectl) == [])
        eventually(lambda: operator.metric("mtj_operator_jobs") == 0.0)


def test_a_job_under_a_name_that_is_used_again_starts_anew(kubectl: Kubectl, http: Http, start: Start) -> None:
    with start(), Kubelet(http, kubectl.namespace, lambda _: Fate(code=None)).working():
        for _ in range(2):
            kubectl.apply(document())
            wait_for(kubectl, lambda found: found.get("state") == "Running")
            uid = kubectl.get("mtj", "chorales")["metadata"]["uid"]
            assert wait_for_job(kubectl, "chorales-prepare-1")["metadata"]["ownerReferences"][0]["uid"] == uid
            kubectl("delete", "mtj", "chorales", "--timeout=30s")


@pytest.mark.parametrize(
    ("fate", "words"),
    [
        (Fate(unschedulable="0/2 nodes are available: 2 Insufficient memory."), "Insufficient memory"),
        (Fate(waiting=("ImagePullBackOff", 'Back-off pulling image "mtj-trainer"')), "mtj-trainer"),
    ],
    ids=["unschedulable", "image"],
)
def test_the_status_says_why_a_pod_does_not_start(
    kubectl: Kubectl, http: Http, start: Start, fate: Fate, words: str
) -> None:
    with start(), Kubelet(http, kubectl.namespace, lambda _: fate).working() as kubelet:
        kubectl.apply(document())
        wait_for(kubectl, lambda found: words in found.get("message", ""))
        assert stage(kubectl, "prepare")["state"] == "Pending"
        kubelet.fate = done
        wait_for(kubectl, lambda found: found["state"] == "Succeeded", seconds=120)


def test_the_status_says_why_a_job_has_no_pods(kubectl: Kubectl, start: Start) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    kubectl.apply(quota)
    eventually(lambda: "hard" in kubectl.get("resourcequota", "none").get("status", {}))
    with start():
        kubectl.apply(document())
        found = wait_for(kubectl, lambda found: "quota" in found.get("message", ""))
        assert found["state"] == "Pending"


def test_the_status_says_that_a_webhook_which_is_down_lets_no_child_be_made(kubectl: Kubectl, start: Start) -> None:
    (nobody_listens,) = free_ports(1)
    webhook = {
        "name": "images.example.com",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "clientConfig": {"url": f"https://127.0.0.1:{nobody_listens}/"},
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": kubectl.namespace}},
        "rules": [{"apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["jobs"]}],
    }
    kind, name = "ValidatingWebhookConfiguration", kubectl.namespace
    body = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name}}
    kubectl.apply({**body, "webhooks": [webhook]})
    try:
        with start():
            kubectl.apply(document())
            found = wait_for(kubectl, lambda found: "failed calling webhook" in found.get("message", ""))
            assert found["state"] == "Pending"
            kubectl("delete", kind, name)
            wait_for_job(kubectl, "chorales-prepare-1")
    finally:
        kubectl("delete", kind, name, "--ignore-not-found")


def test_a_wrong_job_fails_at_once_with_its_sentence(kubectl: Kubectl, http: Http, start: Start) -> None:
    sentence = "s3://music/raw: there is no music here; name another dataset.source"
    with start(), Kubelet(http, kubectl.namespace, lambda _: Fate(code=65, message=sentence)).working():
        kubectl.apply(document())
        found = wait_for(kubectl, lambda found: found.get("state") == "Failed")
        assert sentence in found["message"]
        assert stage(kubectl, "prepare")["attempt"] == 1


@pytest.mark.parametrize(
    ("kind", "name", "more"),
    [
        ("ConfigMap", "chorales-job", {}),
        ("Service", "chorales", {"spec": {"selector": {"app": "shop"}, "ports": [{"port": 80}]}}),
        (
            "Job",
            "chorales-prepare-1",
            {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "a"}]}}}},
        ),
    ],
)
def test_what_somebody_else_made_is_left_alone_and_named(
    kubectl: Kubectl, start: Start, kind: str, name: str, more: dict[str, Any]
) -> None:
    version = "batch/v1" if kind == "Job" else "v1"
    kubectl.apply({"apiVersion": version, "kind": kind, "metadata": {"name": name}, **more})
    before = kubectl.get(kind, name)["metadata"]["uid"]
    with start() as operator:
        kubectl.apply(document(dataset={"source": "s3://music/raw", "workers": {"nodes": 2}}))
        found = wait_for(kubectl, lambda found: name in found.get("message", ""))
        assert found["state"] == "Pending"
        after = kubectl.get(kind, name)
        assert after["metadata"]["uid"] == before
        assert "ownerReferences" not in after["metadata"]
        assert operator.metric("mtj_operator_reconcile_errors_total") >= 1.0
        kubectl("delete", kind, name)
        wait_for_job(kubectl, "chorales-prepare-1")


@contextmanager
def telling(progress: Mapping[str, object]) -> Iterator[int]:
    """A training process's ``/progress``; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path.partition("?")[0] == "/progress" else 404)
            self.end_headers()
            self.wfile.write(json.dumps(progress).encode())

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_the_status_follows_the_progress_of_training(kubectl: Kubectl, http: Http, start: Start) -> None:
    def fate(pod: Mapping[str, Any]) -> Fate:
        return Fate(code=None) if pod["metadata"]["labels"][STAGE_LABEL] == "train" else done(pod)

    told = {"stage": "train", "step": 30, "of": 120, "loss": 1.5, "tokens_per_second": 900.0, "eta_seconds": 60.0}
    with (
        telling(told) as port,
        start("--progress-seconds=0.2") as operator,
        Kubelet(http, kubectl.namespace, fate).working(),
    ):
        kubectl.apply(document(monitoring={"metricsPort": port}))
        found = wait_for(kubectl, lambda found: "progress" in found)["progress"]
        assert (found["step"], found["of"], found["percent"], found["loss"]) == (30, 120, "25%", 1.5)
        assert operator.metric("mtj_operator_progress_polls_total", result="ok") >= 1.0


def test_the_pods_that_train_bear_the_last_checkpoint(kubectl: Kubectl, http: Http, start: Start) -> None:
    def fate(pod: Mapping[str, Any]) -> Fate:
        return Fate(code=None) if pod["metadata"]["labels"][STAGE_LABEL] == "train" else done(pod)

    def marked() -> list[list[str | None]]:
        pods = kubectl.list("pods", f"{STAGE_LABEL}=train")
        found = [one["metadata"].get("annotations", {}) for one in pods]
        return [
            [one.get(f"training.discomusica.io/last-checkpoint-{what}") for what in ("step", "time")] for one in found
        ]

    saved = {"step": 20, "url": "s3://music/out/checkpoints/20", "time": "2026-01-31T12:00:00Z"}
    told = {"stage": "train", "step": 30, "of": 120, "checkpoint": saved}
    with (
        telling(told) as port,
        start("--progress-seconds=0.2") as operator,
        Kubelet(http, kubectl.namespace, fate).working(),
    ):
        kubectl.apply(document(training={"nodes": 2}, monitoring={"metricsPort": port}))
        eventually(lambda: marked() == [["20", "2026-01-31T12:00:00Z"]] * 2, 60)
        assert status(kubectl)["checkpoint"] == saved
        kubectl("annotate", "pod", "--all", "--overwrite", "training.discomusica.io/last-checkpoint-step=7")
        eventually(lambda: marked() == [["20", "2026-01-31T12:00:00Z"]] * 2, 60)
        assert operator.metric("mtj_operator_reconcile_errors_total") == 0.0


def test_a_training_that_tells_nothing_runs_on(kubectl: Kubectl, http: Http, start: Start) -> None:
    def fate(pod: Mapping[str, Any]) -> Fate:
        return Fate(code=None) if pod["metadata"]["labels"][STAGE_LABEL] == "train" else done(pod)

    with start("--progress-seconds=0.2") as operator, Kubelet(http, kubectl.namespace, fate).working() as kubelet:
        kubectl.apply(document())
        wait_for(kubectl, lambda found: found.get("stage") == "train" and found["state"] == "Running")
        eventually(lambda: operator.metric("mtj_operator_progress_polls_total", result="unreachable") >= 2.0)
        kubelet.fate = done
        wait_for(kubectl, lambda found: found["state"] == "Succeeded", seconds=120)
        assert "progress" not in status(kubectl) or status(kubectl)["progress"]["percent"] == "100%"
