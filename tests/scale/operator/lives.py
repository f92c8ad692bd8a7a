"""Jobs in the middle of their lives: what the API server has of each, had the operator brought them there.

Each life is played by the operator's own decisions over objects as the controllers and kubelets of a cluster would
leave them. So the operator that finds these jobs finds what it would have written itself, and has nothing to write.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from mtj_operator.control import snapshots
from mtj_operator.plan.observed import Observed
from mtj_operator.plan.settings import ClusterSettings
from mtj_operator.plan.story import decide
from scale.operator.client import Object
from scale.operator.ours import music_training_job

State = Literal["waiting", "running", "failed", "succeeded"]

UID, JOB_UID = "uid-of-the-resource", "uid-of-its-last-job"
"""Stand for what the API server will choose."""

_STATES: tuple[State, ...] = ("waiting", "running", "failed", "failed", *("succeeded",) * 16)
_NODE = "node-1"


@dataclass(frozen=True)
class Life:
    """A job as the API server has it, with statuses.

    Attributes:
        resource: the MusicTrainingJob.
        children: its ConfigMap and its Service, which have no status.
        job: the Job of its last attempt.
        pods: of that Job.
    """

    resource: Object
    children: tuple[Object, ...]
    job: Object
    pods: tuple[Object, ...]


def state_of(number: int) -> State:
    """Most jobs of a cluster are done; one in twenty waits for room, and one in twenty runs."""
    return _STATES[number % len(_STATES)]


def play(namespace: str, name: str, state: State, settings: ClusterSettings, now: float) -> Life:
    """The life of a job that was created an hour before ``now``, in seconds since 1970."""
    created = now - 3600
    resource = music_training_job(namespace, name)
    resource["metadata"] |= {"uid": UID, "generation": 1, "resourceVersion": "1", "creationTimestamp": _time(created)}
    resource["status"] = {}
    made: dict[str, Object] = {}
    jobs: dict[str, Object] = {}
    pods: tuple[Object, ...] = ()
    while True:
        seen = Observed(
            resource=snapshots.resource(resource),
            jobs=tuple(snapshots.job(one) for one in jobs.values()),
            pods=tuple(snapshots.pod(pod) for pod in pods),
        )
        decision = decide(seen, settings, now)
        status = decision.status.model_dump(mode="json", by_alias=True, exclude_none=True)
        if not decision.children and status == resource["status"]:
            break
        resource["status"] = status
        made |= {child.object["kind"]: child.object for child in decision.children if child.object["kind"] != "Job"}
        for child in decision.children:
            if child.object["kind"] == "Job":
                job = _started(child.object, state, created)
                jobs[job["metadata"]["name"]] = job
                pods = _pods_of(job, state, created)
    return Life(resource, tuple(made.values()), list(jobs.values())[-1], pods)


def _started(job: Object, state: State, created: float) -> Object:
    """The Job as its controller leaves it."""
    job = copy.deepcopy(job)
    job["metadata"] |= {"uid": JOB_UID, "resourceVersion": "1", "creationTimestamp": _time(created)}
    pods, stage = job["spec"]["completions"], job["metadata"]["labels"]["training.discomusica.io/stage"]
    begun: dict[str, Any] = {"startTime": _time(created), "uncountedTerminatedPods": {}}
    if state == "waiting":
        job["status"] = begun | {"active": pods, "ready": 0}
    elif state == "running":
        job["status"] = begun | {"active": pods, "ready": pods}
    elif state == "failed" and stage == "train":
        why = f"Container stage for pod x/{job['metadata']['name']}-0 failed with exit code 65 matching FailJob rule"
        ends = [("FailureTarget", "PodFailurePolicy", why), ("Failed", "PodFailurePolicy", why)]
        job["status"] = begun | {"failed": pods, "ready": 0, "conditions": _conditions(ends, created + 60)}
    else:
        ends = [("SuccessCriteriaMet", "CompletionsReached", ""), ("Complete", "CompletionsReached", "")]
        job["status"] = begun | {
            "succeeded": pods,
            "ready": 0,
            "completedIndexes": f"0-{pods - 1}" if pods > 1 else "0",
            "completionTime": _time(created + 60),
            "conditions": _conditions(ends, created + 60),
        }
    return job


def _conditions(of: list[tuple[str, str, str]], at: float) -> list[Object]:
    times = {"lastTransitionTime": _time(at), "lastProbeTime": _time(at)}
    return [
        {"type": kind, "status": "True", "reason": reason, "message": message, **times} for kind, reason, message in of
    ]


def _pods_of(job: Object, state: State, created: float) -> tuple[Object, ...]:
    """The pods of a Job that is under way, as scheduler and kubelet leave them."""
    if state not in ("waiting", "running"):
        return ()
    return tuple(_pod(job, index, state, created) for index in range(job["spec"]["completions"]))


def _pod(job: Object, index: int, state: State, created: float) -> Object:
    metadata, template = job["metadata"], copy.deepcopy(job["spec"]["template"])
    labels = template["metadata"]["labels"] | {
        "batch.kubernetes.io/job-name": metadata["name"],
        "batch.kubernetes.io/job-completion-index": str(index),
    }
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": metadata["name"], "uid": JOB_UID, "controller": True}
    pod: Object = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{metadata['name']}-{index}",
            "namespace": metadata["namespace"],
            "labels": labels,
            "ownerReferences": [owner],
        },
        "spec": template["spec"],
    }
    if state == "running":
        pod["spec"]["nodeName"] = _NODE
        container = {"name": "stage", "image": "x", "imageID": "x", "ready": True, "restartCount": 0}
        pod["status"] = {
            "phase": "Running",
            "startTime": _time(created),
            "containerStatuses": [{**container, "state": {"running": {"startedAt": _time(created + 10)}}}],
        }
    else:
        why = "0/1 nodes are available: 1 Insufficient memory."
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": why}
        pod["status"] = {"phase": "Pending", "conditions": [condition]}
    return pod


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
