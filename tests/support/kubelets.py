"""Plays the kubelets where there are no nodes: of each pod it reports what a test wants, as a kubelet would."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from support.kubernetes_http import Http

STAGE_LABEL = "training.discomusica.io/stage"
ATTEMPT_LABEL = "training.discomusica.io/attempt"

LAST_WORDS: Mapping[str, Mapping[str, Any]] = {
    "prepare": {"figures": {}},
    "train": {"figures": {}, "checkpoint": {"step": 100, "url": "s3://music/out/checkpoints/100"}},
    "evaluate": {"figures": {"heldout.nll": 0.5}},
    "report": {"figures": {}},
    "publish": {"figures": {}, "model": "s3://music/out/model"},
}
"""What stages that are done say."""


@dataclass(frozen=True)
class Fate:
    """What becomes of a pod.

    Attributes:
        runs: whether its container starts.
        code: its exit status; ``None`` while it runs on.
        message: its last words.
        waiting: why its container does not start, as (reason, message).
        unschedulable: why no node takes it.
        address: its IP.
    """

    runs: bool = True
    code: int | None = 0
    message: str = ""
    waiting: tuple[str, str] = ("", "")
    unschedulable: str = ""
    address: str = "127.0.0.1"


def done(pod: Mapping[str, Any]) -> Fate:
    """It does its work at once."""
    return Fate(message=json.dumps(LAST_WORDS[pod["metadata"]["labels"][STAGE_LABEL]]))


class Kubelet:
    """The kubelets of one namespace.

    Args:
        http: the API server.
        namespace: whose pods.
        fate: what becomes of each.

    Attributes:
        fate: may be replaced at any time; a pod whose container has not ended meets the new one.
    """

    def __init__(self, http: Http, namespace: str, fate: Callable[[Mapping[str, Any]], Fate] = done) -> None:
        self.fate = fate
        self._http = http
        self._pods = f"/api/v1/namespaces/{namespace}/pods"
        self._stop = threading.Event()

    @contextmanager
    def working(self) -> Iterator[Kubelet]:
        """Work for the length of the context."""
        thread = threading.Thread(target=self._work, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join()

    def _work(self) -> None:
        while not self._stop.wait(0.1):
            try:
                for pod in self._http.list(self._pods):
                    self._serve(pod)
            except OSError:  # the API server is away, or the pod is
                continue

    def _serve(self, pod: dict[str, Any]) -> None:
        path = f"{self._pods}/{pod['metadata']['name']}"
        if "deletionTimestamp" in pod["metadata"]:
            self._http("DELETE", path, {"gracePeriodSeconds": 0})
        elif pod["status"].get("phase") not in ("Succeeded", "Failed"):
            wanted = _status(pod, self.fate(pod))
            if wanted is not None:
                self._http.merge(f"{path}/status", {"status": wanted})


def _status(pod: Mapping[str, Any], fate: Fate) -> dict[str, Any] | None:
    """The next status of a pod; ``None`` where it has it."""
    status = pod["status"]
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    container = pod["spec"]["containers"][0]
    base = {"name": container["name"], "image": container["image"], "imageID": "", "restartCount": 0}
    if fate.unschedulable:
        said = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": fate.unschedulable}
        if any(one.get("message") == fate.unschedulable for one in status.get("conditions", ())):
            return None
        return {"conditions": [said]}
    if fate.waiting[0]:
        state = {"waiting": {"reason": fate.waiting[0], "message": fate.waiting[1]}}
        if status.get("containerStatuses", [{}])[0].get("state") == state:
            return None
        return {"conditions": [], "containerStatuses": [{**base, "ready": False, "state": state}]}
    if not fate.runs:
        return None
    if status.get("phase") != "Running":
        state = {"running": {"startedAt": now}}
        running = {**base, "ready": True, "started": True, "state": state}
        more = {"podIP": fate.address, "podIPs": [{"ip": fate.address}], "startTime": now}
        return {"phase": "Running", "conditions": [], "containerStatuses": [running], **more}
    if fate.code is None:
        return None
    reason = "Completed" if fate.code == 0 else "Error"
    ended = {"exitCode": fate.code, "reason": reason, "message": fate.message, "startedAt": now, "finishedAt": now}
    finished = {**base, "ready": False, "state": {"terminated": ended}}
    return {"phase": "Succeeded" if fate.code == 0 else "Failed", "containerStatuses": [finished]}
