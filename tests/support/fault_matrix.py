"""The faults that a training on a cluster is to survive, what each of them may cost, and how it is brought about.

A fault is a real one: a process that is killed or stopped, a pod that is evicted, a server that does not answer, a file
that is damaged. What it may cost is said in steps; how long recovery took is measured, and promised by nobody.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psutil

from support.applied_jobs import Training
from support.cluster import without_power
from support.kubectl import Kubectl
from support.steps import StepWatch

Loss = Literal["no step", "at most the steps since a checkpoint", "at most the steps since the checkpoint before it"]
CHECKPOINTS: dict[Loss, int] = {
    "no step": 0,
    "at most the steps since a checkpoint": 1,
    "at most the steps since the checkpoint before it": 2,
}
"""How many intervals between checkpoints a loss may be."""


@dataclass(frozen=True)
class Scene:
    """A training under way, and what can be done to it.

    Attributes:
        job: it.
        watch: how far it is.
        operator: kubectl for the operator's namespace.
        storage: the number of the S3 server's process.
        api_server: the number of the API server's process.
    """

    job: Training
    watch: StepWatch
    operator: Kubectl
    storage: int
    api_server: int

    @property
    def pods(self) -> list[dict[str, Any]]:
        """Those that train, by index."""
        running = [pod for pod in self.job.pods("train") if pod["status"]["phase"] == "Running"]
        return sorted(running, key=lambda pod: str(pod["metadata"]["name"]))


@dataclass(frozen=True)
class Fault:
    """A row of the matrix.

    Attributes:
        name: what happens.
        bring_about: makes it happen to a training that is on its way, and returns when it is over.
        loses: what it may cost.
        notices: whether the training's pods are replaced.
        befalls_any: whether it can befall a training whoever takes care of it, and costs what that makes of it.
    """

    name: str
    bring_about: Callable[[Scene], None]
    loses: Loss
    notices: bool = True
    befalls_any: bool = False


AWAY_SECONDS = 60.0


def kill_a_process(scene: Scene) -> None:
    _trainers(scene.pods[1])[-1].send_signal(signal.SIGKILL)


def kill_the_first_pods_process(scene: Scene) -> None:
    _trainers(scene.pods[0])[-1].send_signal(signal.SIGKILL)


def freeze_a_process(scene: Scene) -> None:
    """It neither works nor ends, as one that waits for a disk or a driver that will never answer."""
    _trainers(scene.pods[1])[-1].suspend()


def remove_a_pod(scene: Scene) -> None:
    """As a node does that was cut off: nobody asks the pod to end."""
    scene.job.kubectl("delete", "pod", scene.pods[1]["metadata"]["name"], "--grace-period=0", "--force", "--wait=false")


def evict_a_pod(scene: Scene) -> None:
    """As a drain does, or a scheduler that preempts."""
    pod = scene.pods[1]["metadata"]
    place = f"/api/v1/namespaces/{pod['namespace']}/pods/{pod['name']}/eviction"
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod["name"]}}
    scene.job.kubectl("create", "--raw", place, "--filename=-", stdin=json.dumps(eviction))


def suspend_and_resume(scene: Scene) -> None:
    scene.job.suspend(True)
    scene.job.until(lambda: scene.job.is_suspended)
    scene.job.suspend(False)


def switch_a_node_off(scene: Scene) -> None:
    """From one moment to the next, with its kubelet and all its pods; it is on again once training goes on."""
    began = time.monotonic()
    with without_power(scene.pods[1]["spec"]["nodeName"]):
        scene.job.until(lambda: scene.watch.first_after(began) is not None)


def kill_the_operator(scene: Scene) -> None:
    scene.operator("delete", "pods", "--all", "--grace-period=0", "--force", "--wait=false")
    time.sleep(5)


def stop_the_storage(scene: Scene) -> None:
    with _stopped(scene.storage):
        time.sleep(AWAY_SECONDS)


def stop_the_api_server(scene: Scene) -> None:
    with _stopped(scene.api_server):
        time.sleep(AWAY_SECONDS)


def damage_the_newest_checkpoint(scene: Scene) -> None:
    """A byte of it is another one, as storage that rots makes it; then a process is killed."""
    keys = [entry.key for entry in scene.job.storage.list() if entry.key.endswith("/weights.safetensors")]
    newest = max(key for key in keys if key.startswith("checkpoints/"))
    content = bytearray(scene.job.storage.read(newest))
    content[len(content) // 2] ^= 0xFF
    scene.job.storage.write(newest, bytes(content))
    kill_a_process(scene)


_SINCE_A_CHECKPOINT: Loss = "at most the steps since a checkpoint"

FAULTS = (
    Fault("a training process is killed", kill_a_process, _SINCE_A_CHECKPOINT, befalls_any=True),
    Fault("the first pod's process is killed", kill_the_first_pods_process, _SINCE_A_CHECKPOINT, befalls_any=True),
    Fault("a training process stands still", freeze_a_process, _SINCE_A_CHECKPOINT),
    Fault("a pod is gone without a word", remove_a_pod, _SINCE_A_CHECKPOINT, befalls_any=True),
    Fault("a pod is evicted", evict_a_pod, "no step", befalls_any=True),
    Fault("a node loses its power", switch_a_node_off, _SINCE_A_CHECKPOINT),
    Fault("the job is suspended and resumed", suspend_and_resume, "no step", befalls_any=True),
    Fault(
        "the newest checkpoint is damaged, and a process killed",
        damage_the_newest_checkpoint,
        "at most the steps since the checkpoint before it",
    ),
    Fault("the operator is killed", kill_the_operator, "no step", notices=False),
    Fault("the storage does not answer for a minute", stop_the_storage, "no step", notices=False),
    Fault("the API server does not answer for a minute", stop_the_api_server, "no step", notices=False),
)


@contextmanager
def _stopped(pid: int) -> Iterator[None]:
    process = psutil.Process(pid)
    process.suspend()
    try:
        yield
    finally:
        process.resume()


def _trainers(pod: dict[str, Any]) -> list[psutil.Process]:
    """The training processes of a pod, as this machine sees them, the launcher first."""
    uid = pod["metadata"]["uid"]
    found = []
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if "mtj_trainer.train" in command and uid in Path(f"/proc/{process.pid}/cgroup").read_text():
            found.append(process)
    if not found:
        raise LookupError(f"pod {pod['metadata']['name']} has no training process")
    return sorted(found, key=lambda process: process.create_time())
