"""Sample jobs on a cluster of the tests: applied as a user applies them, watched, and read from the storage."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from mtj_trainer.storage import Storage, open_storage
from support import curves
from support.kubectl import REPOSITORY, Kubectl, KubectlError
from support.seaweedfs import BUCKET, S3Server

SAMPLES = REPOSITORY / "manifests/samples"
PATIENCE = 1200.0
"""Seconds for a whole job on a machine that has much else to do."""

SHORT: dict[str, Any] = {
    "training": {"steps": 150, "precision": "fp32"},
    "checkpoint": {"everySteps": 15},
    "evaluation": {"everySteps": 50, "continuations": 1, "requests": [{"key": "Gmaj", "bars": 2}]},
}
"""What makes a sample short enough for a test."""

PREPARED: dict[str, Any] = {"dataset": {"cache": f"s3://{BUCKET}/prepared"}}
"""What gives a sample the data that another namespace's has prepared, in a test of what comes after that."""


@dataclass(frozen=True)
class Training(ABC):
    """Something on a cluster that trains, whoever takes care of it.

    Attributes:
        kubectl: for its namespace.
        name: of its resource.
        output: the URL of what it writes.
    """

    kubectl: Kubectl
    name: str
    output: str

    @abstractmethod
    def pods(self, stage: str = "") -> list[dict[str, Any]]:
        """Its pods, of one stage where one is named."""

    @abstractmethod
    def suspend(self, suspend: bool) -> None:
        """Suspend it, or let it go on."""

    @property
    @abstractmethod
    def is_suspended(self) -> bool:
        """Whether its resource says so."""

    @abstractmethod
    def told(self) -> str:
        """What a user would look at when something is amiss."""

    def until(self, holds: Callable[[], bool], seconds: float = PATIENCE) -> None:
        """Return as soon as something holds."""
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, f"it never came about\n{self.told()}"
            time.sleep(0.5)

    @property
    def storage(self) -> Storage:
        return open_storage(self.output)

    @property
    def losses(self) -> list[tuple[int, float]]:
        """Every logged training and validation loss, by step."""
        return curves.losses(self.storage)


class ClusterJob(Training):
    """A MusicTrainingJob by its name."""

    @property
    def status(self) -> dict[str, Any]:
        """What its resource says now; empty before anything is said."""
        found: dict[str, Any] = self.kubectl.get("mtj", self.name).get("status", {})
        return found

    def stage(self, name: str) -> dict[str, Any]:
        """The row of a stage."""
        (row,) = (row for row in self.status["stages"] if row["name"] == name)
        return dict(row)

    def condition(self, kind: str) -> dict[str, Any]:
        found = (one for one in self.status.get("conditions", []) if one["type"] == kind)
        return next(found, {})

    def succeed(self) -> None:
        """``kubectl wait --for=condition=Succeeded``; fails at once, with the status, when the job has failed."""

        def is_over() -> bool:
            return self.status.get("state") in ("Succeeded", "Failed")

        self.until(is_over)
        assert self.status["state"] == "Succeeded", self.told()
        self.kubectl.wait(f"mtj/{self.name}", "condition=Succeeded")

    def suspend(self, suspend: bool) -> None:
        """See ``Training.suspend``."""
        patch = {"spec": {"scheduling": {"suspend": suspend}}}
        self.kubectl("patch", "mtj", self.name, "--type=merge", f"--patch={json.dumps(patch)}")

    @property
    def is_suspended(self) -> bool:
        """See ``Training.is_suspended``."""
        return bool(self.status["state"] == "Suspended")

    def pods(self, stage: str = "") -> list[dict[str, Any]]:
        """See ``Training.pods``."""
        of_stage = f",training.discomusica.io/stage={stage}" if stage else ""
        return self.kubectl.list("pods", f"training.discomusica.io/job={self.name}{of_stage}")

    def events(self) -> list[str]:
        """The reasons of what ``kubectl describe`` shows, in order."""
        found = [event for event in self.kubectl.list("events") if event["involvedObject"]["name"] == self.name]
        found.sort(key=lambda event: event["metadata"]["creationTimestamp"])
        return [event["reason"] for event in found]

    @property
    def figures(self) -> dict[str, Any]:
        figures: dict[str, Any] = json.loads(self.storage.read("figures.json"))
        return figures

    def told(self) -> str:
        """See ``Training.told``."""
        told = [yaml.safe_dump(self.status)]
        for pod in self.pods():
            name = pod["metadata"]["name"]
            told.append(f"{name}: {json.dumps(pod['status'].get('containerStatuses', pod['status']))[:1500]}")
            try:
                told.append(self.kubectl("logs", name, "--tail=25"))
            except KubectlError as error:
                told.append(str(error))
        return "\n".join(told)


class Namespace:
    """A namespace with what jobs need there: the S3 server's Secret, and our Python packages on claims.

    Args:
        kubectl: for the namespace.
        s3: which pods reach by the Secret ``s3``.
        packages: ``volumes``, ``volumeMounts`` and ``env`` of a pod that has our packages.
    """

    def __init__(self, kubectl: Kubectl, s3: S3Server, packages: Mapping[str, Any]) -> None:
        self.kubectl = kubectl
        paths = {mount["name"]: mount["mountPath"] for mount in packages["volumeMounts"]}
        self.template = {
            "env": list(packages["env"]),
            "volumes": [{**volume, "mountPath": paths[volume["name"]]} for volume in packages["volumes"]],
        }
        metadata = {"name": "s3"}
        kubectl.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": s3.environment})

    def apply(self, sample: str, name: str, *changes: Mapping[str, Any]) -> ClusterJob:
        """``kubectl apply`` of a sample under another name, with changes to its spec."""
        document = yaml.safe_load((SAMPLES / sample).read_text())
        document["metadata"]["name"] = name
        bucket = f"s3://{BUCKET}/{self.kubectl.namespace}"
        ours = {"dataset": {"cache": f"{bucket}/prepared"}, "output": f"{bucket}/{name}"}
        for change in (ours, *changes):
            _merge(document["spec"], change)
        return self.apply_text(yaml.safe_dump(document))

    def apply_text(self, text: str) -> ClusterJob:
        """``kubectl apply`` of a job whose pods are to have what is here for them."""
        document = yaml.safe_load(text)
        _merge(document["spec"], {"scheduling": {"podTemplate": self.template, "storageSecret": "s3"}})
        self.kubectl.apply(document)
        return ClusterJob(self.kubectl, document["metadata"]["name"], document["spec"]["output"])


def _merge(into: dict[str, Any], change: Mapping[str, Any]) -> None:
    for key, value in change.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value
