"""The chart on a real cluster, by the commands of the guide: a job is trained across an upgrade and a rollback."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from support import cluster as clusters
from support.applied_jobs import PREPARED, SHORT, ClusterJob, Namespace
from support.cluster import OPERATOR_IMAGE, TRAINER_IMAGE, Cluster
from support.guides import blocks
from support.helm import program
from support.installed import GUIDE, SYSTEM, Name, documented, own
from support.kubectl import REPOSITORY, Kubectl, binaries
from support.seaweedfs import S3Server
from support.witness import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

SCRIPTS = {
    block.marks.removeprefix("cluster="): block.text for block in blocks(GUIDE) if block.marks.startswith("cluster=")
}
LONGER = {"training": {"steps": 250}}


def image(name: str) -> dict[str, str]:
    repository, _, tag = name.rpartition(":")
    return {"repository": repository, "tag": tag}


VALUES = {"image": image(OPERATOR_IMAGE), "jobs": {"image": image(TRAINER_IMAGE)}}
CHANGED = {**VALUES, "operator": {"verbose": True}, "podLabels": {"upgraded": "yes"}}


class Guide:
    """Carries out what the guide says, in a folder with the chart.

    Args:
        folder: it.
        kubeconfig: which cluster.
        take_over: whether somebody has installed the definition before.
    """

    def __init__(self, folder: Path, kubeconfig: Path, *, take_over: bool) -> None:
        self._folder = folder
        (folder / "charts").symlink_to(REPOSITORY / "charts")
        more = '[ "$1" = install ] && set -- "$@" --take-ownership --force-conflicts' if take_over else ""
        (folder / "helm").write_text(f'#!/bin/sh\n{more}\nexec "{program()}" "$@"\n')
        (folder / "helm").chmod(0o755)
        path = f"{folder}:{binaries()}:{os.environ['PATH']}"
        self._environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "PATH": path}

    def __call__(self, script: str, values: dict[str, Any]) -> str:
        """What the script of this name prints, with these values in values.yaml."""
        (self._folder / "values.yaml").write_text(yaml.safe_dump(values))
        command = ["bash", "-euo", "pipefail", "-c", SCRIPTS[script]]
        done = subprocess.run(
            command, cwd=self._folder, env=self._environment, capture_output=True, text=True, timeout=400, check=False
        )
        assert done.returncode == 0, f"{SCRIPTS[script]}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@dataclass
class Told:
    """What was seen on the way.

    Attributes:
        job: that was trained.
        installed, uninstalled: what the namespace held.
        pods: uids of the job's pods that trained, before the upgrade, after it and after the rollback.
        states: of the job, at the same moments.
        labels: of the operator's pods, at the same moments.
    """

    job: ClusterJob
    installed: set[Name] = field(default_factory=set)
    uninstalled: set[Name] = field(default_factory=set)
    pods: list[set[str]] = field(default_factory=list)
    states: list[tuple[str, str]] = field(default_factory=list)
    labels: list[set[str]] = field(default_factory=list)

    def look(self, system: Kubectl) -> None:
        """At the pods as they are now."""
        status = self.job.status
        self.pods.append({pod["metadata"]["uid"] for pod in self.job.pods("train")})
        self.states.append((status["state"], status["stage"]))
        of_operator = system.list("pods", "app.kubernetes.io/name=mtj-operator")
        running = [pod["metadata"] for pod in of_operator if "deletionTimestamp" not in pod["metadata"]]
        self.labels.append({pod["labels"].get("upgraded", "") for pod in running})


@pytest.fixture(scope="module")
def told(cluster: Cluster, _s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """All of it, from the first command to the last."""
    system = cluster.kubectl.within(SYSTEM)
    take_over = bool(system("get", "crd", "--output=name"))
    guide = Guide(tmp_path_factory.mktemp("guide"), cluster.kubectl.kubeconfig, take_over=take_over)
    with (
        _nobody_else(system),
        clusters.fresh_namespace(cluster.kubectl) as kubectl,
        clusters.python_packages(kubectl) as packages,
    ):
        guide("install", VALUES)
        try:
            yield _tell(guide, system, Namespace(kubectl, _s3, packages))
        finally:
            if system("get", "deployment", "mtj-operator", "--ignore-not-found", "--output=name"):
                guide("uninstall", VALUES)


@pytest.fixture(autouse=True)
def _storage(_s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process reads what the pods have written."""
    for name, value in _s3.environment.items():
        monkeypatch.setenv(name, value)


def _tell(guide: Guide, system: Kubectl, jobs: Namespace) -> Told:
    told = Told(jobs.apply("cluster.yaml", "trained", SHORT, LONGER, PREPARED))
    told.installed = own(system)
    told.job.until(lambda: told.job.status.get("progress", {}).get("step", 0) >= 10)
    told.look(system)
    guide("upgrade", CHANGED)
    told.look(system)
    guide("rollback", VALUES)
    told.look(system)
    told.job.succeed()
    guide("uninstall", VALUES)
    eventually(lambda: not own(system), 60)
    told.uninstalled = own(system)
    return told


@contextmanager
def _nobody_else(system: Kubectl) -> Iterator[None]:
    """Without the operator that other tests have installed, which is there again afterwards; its definition stays."""
    was_there = system("get", "deployment", "mtj-operator", "--ignore-not-found", "--output=name")
    if was_there:
        system("delete", "clusterrole,clusterrolebinding", "--selector=app.kubernetes.io/name=mtj-operator")
    system("delete", "namespace", SYSTEM, "--ignore-not-found", "--timeout=100s")
    yield
    if was_there:
        folder = REPOSITORY / "tests/cluster/operator"
        system("apply", "--server-side", "--force-conflicts", f"--kustomize={folder}")
        system("rollout", "status", "deployment/mtj-operator", "--timeout=110s")


def test_the_namespace_holds_what_the_guide_says_and_nothing_else(told: Told) -> None:
    assert told.installed == documented()


def test_an_upgrade_and_a_rollback_restart_the_operator_and_no_pod_of_a_job(told: Told) -> None:
    assert told.states == [("Running", "train")] * 3, "it trained all the time"
    assert told.labels == [{""}, {"yes"}, {""}]
    assert told.pods[0] == told.pods[1] == told.pods[2]
    assert len(told.pods[0]) == 2


def test_the_job_is_done_at_its_first_attempt(told: Told) -> None:
    assert {(row["name"], row["attempt"], row["retries"]) for row in told.job.status["stages"]} == {
        (stage, 1, 0) for stage in ("prepare", "train", "evaluate", "report", "publish")
    }


def test_the_namespace_is_empty_afterwards(told: Told) -> None:
    assert told.uninstalled == set()


def test_the_definition_the_job_and_its_output_stay(told: Told) -> None:
    assert told.job.status["state"] == "Succeeded"
    assert told.job.storage.read("model/README.md")


def test_nothing_holds_up_the_end_of_a_job_while_no_operator_runs(told: Told) -> None:
    told.job.kubectl("delete", "mtj", told.job.name, "--timeout=60s")
    told.job.until(lambda: not told.job.pods(), 120)
