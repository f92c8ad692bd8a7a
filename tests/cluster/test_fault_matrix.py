"""Every fault of the matrix on a real cluster: what it cost in steps, and that the result is the undisturbed one's.

``make bench-faults`` runs this and writes the table of docs/reliability.md, which takes half an hour.
"""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

import psutil
import pytest

from support.applied_jobs import SHORT, ClusterJob, Namespace
from support.fault_matrix import CHECKPOINTS, FAULTS, Fault, Scene
from support.kubectl import Kubectl
from support.steps import StepWatch

pytestmark = [pytest.mark.on_demand, pytest.mark.slow, pytest.mark.timeout(1500)]

LONGER = {"training": {"steps": 300}, "evaluation": {"everySteps": 150}}
ROWS = "MTJ_FAULT_ROWS"
"""Names a file to which each row is appended, as a line of JSON."""


@pytest.fixture(scope="module")
def undisturbed(jobs: Namespace) -> ClusterJob:
    job = jobs.apply("cluster.yaml", "undisturbed", SHORT, LONGER)
    with StepWatch(job) as watch:
        job.until(lambda: bool(job.pods("train")))
        began = time.monotonic()
        job.succeed()
    _write({"fault": "none: from the pods to the first logged step", "seconds": watch.seen[0].at - began})
    return job


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_costs_no_more_than_it_may_and_changes_nothing(
    fault: Fault, jobs: Namespace, operator: Kubectl, undisturbed: ClusterJob
) -> None:
    job = jobs.apply("cluster.yaml", f"fault-{FAULTS.index(fault)}", SHORT, LONGER)
    with StepWatch(job) as watch:
        job.until(lambda: watch.step >= 40)
        scene = Scene(job, watch, operator, _process("weed"), _process("kube-apiserver"))
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


def _gone_on_from(job: ClusterJob, pod: str) -> int:
    """The step at which a pod's training went on, as it says itself."""
    found = re.search(r"checkpoint of step (\d+)", job.kubectl("logs", pod))
    assert found is not None
    return int(found.group(1))


def _process(name: str) -> int:
    (found,) = (one.pid for one in psutil.process_iter(["name"]) if one.info["name"] == name)
    return found


def _write(row: dict[str, object]) -> None:
    if path := os.environ.get(ROWS):
        with Path(path).open("a", encoding="utf-8") as rows:
            rows.write(json.dumps(row) + "\n")
