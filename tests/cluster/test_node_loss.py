"""A node of a real cluster loses its power while a job trains on it, and comes back: training hardly notices.

The node's kubelet, container runtime and pods end from one moment to the next, and nobody says so to the API server.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from mtj_trainer.storage import open_storage
from mtj_trainer.train.checkpoint import STATE
from support import cluster as clusters
from support.applied_jobs import PREPARED, ClusterJob, Namespace

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

EVERY, SIZE = 20, 4
ENDLESS: dict[str, Any] = {
    "training": {"nodes": 2, "minNodes": 1, "steps": 1_000_000, "precision": "fp32", "batch": {"size": SIZE}},
    "checkpoint": {"everySteps": EVERY},
    "evaluation": {"everySteps": 1_000_000},
    "scheduling": {"resources": {"train": {"cpu": "1200m"}}},
}
"""It asks for so much of a node that no node takes two of its pods, and goes on until the test ends."""


def nodes_of(job: ClusterJob) -> set[str]:
    """Where its training pods run now."""
    running = [pod for pod in job.pods("train") if pod["status"]["phase"] == "Running"]
    return {pod["spec"]["nodeName"] for pod in running if "deletionTimestamp" not in pod["metadata"]}


def step_of(job: ClusterJob) -> int:
    return int(job.status.get("checkpoint", {}).get("step", 0))


def trains_on(job: ClusterJob, *nodes: str) -> bool:
    """Whether it trains now, on these nodes."""
    trains = job.status.get("nodes") == f"{len(nodes)} of 2" and job.stage("train")["state"] == "Running"
    return trains and nodes_of(job) == set(nodes)


def logged(job: ClusterJob) -> str:
    """What the first process of the attempt under way has said."""
    first = f"{job.name}-train-{job.stage('train')['attempt']}-0-"
    (pod,) = [one["metadata"]["name"] for one in job.pods("train") if one["metadata"]["name"].startswith(first)]
    return job.kubectl("logs", pod)


def begun_at(log: str) -> int:
    """The step of the checkpoint that an attempt went on from."""
    found = re.search(r"going on from the checkpoint of step (\d+)", log)
    assert found, log
    return int(found[1])


def test_a_node_without_power_costs_the_steps_since_the_last_checkpoint_and_grows_back_when_it_returns(
    jobs: Namespace,
) -> None:
    job = jobs.apply("cluster.yaml", "elastic", ENDLESS, PREPARED)
    job.until(lambda: trains_on(job, "node1", "node2") and step_of(job) >= EVERY)
    with clusters.without_power("node2"):
        before = step_of(job)
        job.until(lambda: trains_on(job, "node1"))
        assert "; on 1 of 2 nodes, since no node takes elastic-train-2-1" in job.status["message"]
        assert not [pod for pod in job.pods("train") if pod["spec"].get("nodeName") == "node2"]
        job.until(lambda: step_of(job) >= before + 2 * EVERY)
        assert "1 of 2 processes: a step keeps its 4 sequences, in 2 passes" in logged(job)
        assert (begun_at(logged(job)) >= before, begun_at(logged(job)) % EVERY) == (True, 0)
    small = step_of(job)
    job.until(lambda: trains_on(job, "node1", "node2"))
    job.until(lambda: "going on" in logged(job))
    assert begun_at(logged(job)) >= small
    grown = begun_at(logged(job))
    job.until(lambda: step_of(job) >= grown + EVERY)
    row = job.stage("train")
    assert (row["retries"], row["disruptions"], row["elastic"]["shrinks"]) == (0, 1, 1)
    assert {"Disrupted", "Shrunk", "Grown"} <= set(job.events())
    state = json.loads(open_storage(job.status["checkpoint"]["url"]).read(STATE))
    assert state["position"] == state["step"] * SIZE, "every step took its whole batch, on however many nodes"
    job.until(lambda: not job.pods("room"))
