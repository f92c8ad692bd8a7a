"""Every fault of the matrix on a real cluster: what it cost in steps, and that the result is the undisturbed one's.

Those that can befall any training meet it under Kubeflow Trainer, too, on the same cluster: of that nothing is asked
but that it is the same training. ``make bench-faults`` runs this and writes the table of docs/reliability.md.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from scale.operator.kubeflow import kubeflow
from support import train_jobs
from support.applied_jobs import SHORT, ClusterJob, Namespace, Training
from support.cluster import Cluster
from support.fault_matrix import CHECKPOINTS, FAULTS, Fault, Scene
from support.kubectl import REPOSITORY, Kubectl
from support.steps import StepWatch

pytestmark = [pytest.mark.on_demand, pytest.mark.slow, pytest.mark.timeout(1500)]

PATIENCE_WITH_OTHERS = 300.0
"""Seconds after which a training that somebody else takes care of counts as lost."""

UNDISTURBED = "none: from the pods to the first logged step"
PEER = "Kubeflow Trainer"

LONGER = {"training": {"steps": 300, "hangSeconds": 60}, "evaluation": {"everySteps": 150}}
ROWS = "MTJ_FAULT_ROWS"
"""Names a file to which each row is appended, as a line of JSON."""


@pytest.fixture(scope="module")
def servers(cluster: Cluster, jobs: Namespace) -> tuple[int, int]:
    """The numbers of the storage's process, and of the API server's."""
    return _process("weed", f"-ip={cluster.host_address}"), _process("kube-apiserver", str(REPOSITORY))


@pytest.fixture(scope="module")
def undisturbed(jobs: Namespace) -> ClusterJob:
    job = jobs.apply("cluster.yaml", "undisturbed", SHORT, LONGER)
    with StepWatch(job) as watch:
        job.until(lambda: bool(job.pods("train")))
        began = time.monotonic()
        job.succeed()
    _write({"fault": UNDISTURBED, "seconds": watch.seen[0].at - began})
    return job


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_costs_no_more_than_it_may_and_changes_nothing(
    fault: Fault, jobs: Namespace, operator: Kubectl, undisturbed: ClusterJob, servers: tuple[int, int]
) -> None:
    job = jobs.apply("cluster.yaml", f"fault-{FAULTS.index(fault)}", SHORT, LONGER)
    with StepWatch(job) as watch:
        job.until(lambda: watch.step >= 40)
        scene = Scene(job, watch, operator, *servers)
        began = time.monotonic()
        fault.bring_about(scene)
        if fault.notices:
            job.until(lambda: watch.first_after(began) is not None)
        job.succeed()
    after = watch.first_after(began)
    lost = watch.reached_before(after) - _gone_on_from(job, after.pod) if after else 0
    _write(
        {
            "fault": fault.name,
            "claim": fault.loses,
            "lost": max(0, lost),
            "seconds": after.at - began if after else None,
            "retries": job.stage("train")["retries"],
        }
    )
    assert (after is not None) == fault.notices
    assert lost <= CHECKPOINTS[fault.loses] * SHORT["checkpoint"]["everySteps"]
    assert job.losses == undisturbed.losses
    assert job.figures["heldout.nll"] == undisturbed.figures["heldout.nll"]


@pytest.fixture(scope="module")
def kubeflow_trainer(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Kubeflow Trainer takes care of the cluster's TrainJobs."""
    folder = tmp_path_factory.mktemp("peers") / "kubeflow"
    with asyncio.Runner() as runner, ExitStack() as stack:
        trainer = kubeflow(cluster, folder, cluster.host_address)
        runner.run(trainer.__aenter__())
        stack.callback(lambda: runner.run(trainer.__aexit__(None, None, None)))
        yield


def test_kubeflow_trainer_trains_the_same(undisturbed: ClusterJob, kubeflow_trainer: None) -> None:
    with train_jobs.training(undisturbed, "kubeflow") as job, StepWatch(job) as watch:
        job.until(lambda: bool(job.pods()))
        began = time.monotonic()
        job.complete()
    _write({"fault": UNDISTURBED, "by": PEER, "seconds": watch.seen[0].at - began})
    assert job.losses == undisturbed.losses


@pytest.mark.parametrize("fault", [one for one in FAULTS if one.befalls_any], ids=lambda fault: fault.name)
def test_kubeflow_trainer_meets_the_same_fault(
    fault: Fault, operator: Kubectl, undisturbed: ClusterJob, servers: tuple[int, int], kubeflow_trainer: None
) -> None:
    name = f"kubeflow-{FAULTS.index(fault)}"
    with train_jobs.training(undisturbed, name) as job, StepWatch(job) as watch:
        job.until(lambda: watch.step >= 40)
        began = time.monotonic()
        fault.bring_about(Scene(job, watch, operator, *servers))
        while watch.first_after(began) is None and time.monotonic() < began + PATIENCE_WITH_OTHERS:
            time.sleep(0.5)
        after = watch.first_after(began)
        _write(
            {
                "fault": fault.name,
                "by": PEER,
                "lost": max(0, watch.reached_before(after) - _gone_on_from(job, after.pod)) if after else None,
                "seconds": after.at - began if after else None,
                "waited": PATIENCE_WITH_OTHERS,
                "restarts": job.restarts,
            }
        )
    assert set(job.losses) <= set(undisturbed.losses)


def _gone_on_from(job: Training, pod: str) -> int:
    """The step at which a pod's training went on, as it says itself."""
    found = re.search(r"checkpoint of step (\d+)", job.kubectl("logs", pod))
    assert found is not None
    return int(found.group(1))


def _process(name: str, argument: str) -> int:
    """The one process of this name with this in a word of its command: other tests may have their own servers."""
    named = (one for one in psutil.process_iter(["name", "cmdline"]) if one.info["name"] == name)
    (found,) = (one.pid for one in named if any(argument in word for word in one.info["cmdline"]))
    return found


def _write(row: dict[str, object]) -> None:
    if path := os.environ.get(ROWS):
        with Path(path).open("a", encoding="utf-8") as rows:
            rows.write(json.dumps(row) + "\n")
