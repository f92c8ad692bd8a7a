"""``mtj logs`` on real nodes: what pods print comes whole and once, from rank to rank and from attempt to attempt."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from mtj_api.contract import ATTEMPT_LABEL, CONTAINER, JOB_LABEL, STAGE_LABEL
from mtj_operator.logs.lines import LONGEST
from support.cluster import TRAINER_IMAGE
from support.jobs import document
from support.kubectl import Kubectl
from support.verdict import CRD
from support.witness import eventually

pytestmark = pytest.mark.slow

COUNT = "for number in range({first}, {last}): print('line', number, flush=True)"
WAIT = "import time\nwhile True: time.sleep(1)"


def pod(name: str, program: str) -> dict[str, Any]:
    """A pod of the job ``chorales``, named as ``train-1-0`` is: stage, attempt and rank."""
    stage, attempt, index = name.split("-")
    labels = {JOB_LABEL: "chorales", STAGE_LABEL: stage, ATTEMPT_LABEL: attempt}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {**labels, "batch.kubernetes.io/job-completion-index": index}},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": CONTAINER,
                    "image": TRAINER_IMAGE,
                    "command": ["python3", "-c", program],
                    "resources": {"requests": {"cpu": "50m"}},
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
        },
    }


@pytest.fixture
def job(namespace: Kubectl) -> Kubectl:
    """kubectl for a namespace with a job that no operator carries out."""
    namespace("apply", "--server-side", "--force-conflicts", f"--filename={CRD}")
    namespace.wait("crd/musictrainingjobs.training.discomusica.io", "condition=Established")
    written = document(model={}, scheduling={"suspend": True})
    namespace.apply(written)
    return namespace


def reading(kubectl: Kubectl, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "mtj_operator.cli", "logs", "chorales", "-n", kubectl.namespace, *arguments]
    environment = os.environ | {"KUBECONFIG": str(kubectl.kubeconfig)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def lines(whose: str, first: int, last: int) -> list[str]:
    return [f"{whose} line {number}" for number in range(first, last)]


def is_in_phase(kubectl: Kubectl, name: str, phase: str) -> bool:
    found: str = kubectl.get("pod", name)["status"]["phase"]
    return found == phase


def test_the_logs_of_all_ranks_are_whole(job: Kubectl) -> None:
    job.apply(*(pod(f"train-1-{rank}", COUNT.format(first=0, last=500)) for rank in (0, 1)))
    job.apply(pod("prepare-1-0", "print('x' * 100_000); print('prepared', end='')"))
    for name in ("train-1-0", "train-1-1", "prepare-1-0"):
        job.wait(f"pod/{name}", "jsonpath={.status.phase}=Succeeded", seconds=300)
    with reading(job) as process:
        said, remarks = process.communicate()
    found = said.splitlines()
    assert found[:2] == [f"prepare[0] {'x' * LONGEST} ...", "prepare[0] prepared"]
    for rank in (0, 1):
        assert [line for line in found[2:] if line.startswith(f"train[{rank}]")] == lines(f"train[{rank}]", 0, 500)
    assert (len(found), remarks) == (1002, "")


def test_logs_are_followed_across_a_restart_until_the_job_has_ended(job: Kubectl) -> None:
    job.apply(pod("train-1-0", COUNT.format(first=0, last=50) + "\n" + WAIT))
    with reading(job, "--follow") as process:
        assert process.stdout is not None
        assert [process.stdout.readline().rstrip() for _ in range(50)] == lines("train[0]", 0, 50)
        job("delete", "pod", "train-1-0", "--wait=false")
        job.apply(pod("train-2-0", COUNT.format(first=50, last=100)))
        assert [process.stdout.readline().rstrip() for _ in range(50)] == lines("train[0]", 50, 100)
        eventually(lambda: is_in_phase(job, "train-2-0", "Succeeded"), seconds=300)
        condition = {"type": "Succeeded", "status": "True", "reason": "Done", "observedGeneration": 1}
        status = {
            "state": "Succeeded",
            "message": "done",
            "conditions": [{**condition, "lastTransitionTime": "2026-01-31T12:00:00Z"}],
        }
        patch = json.dumps({"status": status})
        job("patch", "mtj", "chorales", "--subresource=status", "--type=merge", f"--patch={patch}")
        rest, remarks = process.communicate()
    assert (process.returncode, rest) == (0, "")
    assert remarks.splitlines() == ["-- train, attempt 2", "-- Succeeded: done"]
