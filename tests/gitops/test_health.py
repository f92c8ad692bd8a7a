"""What Flux and Argo CD make of a job in each of its states, from statuses that the operator wrote."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mtj_api.contract import JOB_LABEL
from support import gitops, operator_process
from support.kubectl import Kubectl
from support.kubelets import Fate, Kubelet, done
from support.kubernetes_api import ApiServer
from support.kubernetes_http import Http
from support.operated_jobs import Raw, document, wait_for

pytestmark = [pytest.mark.on_demand, pytest.mark.slow]

NAMESPACE = "health"

FATES = {
    "pending": Fate(unschedulable="0/2 nodes are available: 2 Insufficient memory."),
    "running": Fate(code=None),
    "retrying": Fate(code=1, message="the disk is full"),
    "failed": Fate(code=65, message="s3://music/raw: there is no music here; name another dataset.source"),
}
"""What becomes of the pods of each job; those of the others do their work."""

SPECS: dict[str, dict[str, Any]] = {
    "pending": {},
    "waiting": {"model": {"from": {"job": "nobody"}}},
    "queued": {"scheduling": {"queue": "music"}},
    "running": {},
    "retrying": {},
    "suspended": {"scheduling": {"suspend": True}},
    "done": {},
    "failed": {},
}

REACHED = {
    "pending": ("Pending", "Insufficient memory"),
    "waiting": ("Pending", "waits for job nobody"),
    "queued": ("Queued", "waits in the queue music"),
    "running": ("Running", "runs"),
    "retrying": ("Pending", "the disk is full"),
    "suspended": ("Suspended", ""),
    "done": ("Succeeded", "done"),
    "failed": ("Failed", "there is no music here"),
}
"""The state of each job that is looked at, and words of its message."""


def fate(pod: Mapping[str, Any]) -> Fate:
    return FATES.get(pod["metadata"]["labels"][JOB_LABEL]) or done(pod)


@pytest.fixture(scope="module")
def jobs(cluster: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Raw]]:
    """A job of each kind as the operator left it, by name; and one that it has not seen, whole or since an edit."""
    folder, http = tmp_path_factory.mktemp("health"), Http(cluster)
    cluster.kubectl("create", "namespace", NAMESPACE)
    kubectl: Kubectl = cluster.kubectl.within(NAMESPACE)
    kubeconfig = operator_process.service_account(cluster, folder)
    found: dict[str, Raw] = {}
    kubectl.apply(*(document(name, **spec) for name, spec in SPECS.items()))
    found["unseen"] = kubectl.get("mtj", "running")
    with (
        operator_process.running(kubeconfig, folder, f"--namespace={NAMESPACE}"),
        Kubelet(http, NAMESPACE, fate).working(),
    ):
        for name, (state, words) in REACHED.items():
            wait_for(kubectl, partial(_says, state, words), name, 120)
            found[name] = kubectl.get("mtj", name)
    kubectl("patch", "mtj/done", "--type=merge", '--patch={"spec":{"scheduling":{"ttlSecondsAfterFinished":9000}}}')
    found["edited"] = kubectl.get("mtj", "done")
    yield found
    cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def _says(state: str, words: str, status: Raw) -> bool:
    return status.get("state") == state and words in status.get("message", "")


@pytest.mark.parametrize(
    ("name", "flux", "argocd"),
    [
        ("unseen", "InProgress", "Progressing"),
        ("pending", "InProgress", "Progressing"),
        ("waiting", "InProgress", "Progressing"),
        ("queued", "InProgress", "Progressing"),
        ("running", "InProgress", "Progressing"),
        ("retrying", "InProgress", "Progressing"),
        ("suspended", "Current", "Suspended"),
        ("done", "Current", "Healthy"),
        ("failed", "Failed", "Degraded"),
        ("edited", "InProgress", "Progressing"),
    ],
)
def test_a_jobs_health_is_what_its_state_says(
    jobs: dict[str, Raw], tmp_path: Path, name: str, flux: str, argocd: str
) -> None:
    assert gitops.kstatus(jobs[name], tmp_path).word == flux
    assert gitops.argocd_health(jobs[name], tmp_path).word == argocd


def test_whoever_looks_at_a_failed_job_reads_why(jobs: dict[str, Raw], tmp_path: Path) -> None:
    why = jobs["failed"]["status"]["message"]
    assert gitops.kstatus(jobs["failed"], tmp_path).message == why
    assert gitops.argocd_health(jobs["failed"], tmp_path).message == why
