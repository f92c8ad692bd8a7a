"""The training of a job of ours as a TrainJob of Kubeflow Trainer, with the same pods.

The same are image, packages, resources, the resolved job, what was prepared, the program that trains, and its
checkpoints on S3. Kubeflow's are who starts that program (torchrun, by the variables that Trainer sets), how its
processes find each other, and who starts it anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mtj_api.contract import ATTEMPT_ENV, JOB_FILE
from mtj_operator.plan.objects.environment import FIRST_HOST, GANG
from mtj_trainer.storage import open_storage
from support.applied_jobs import ClusterJob, Training
from support.kubectl import Kubectl, KubectlError

MAX_RESTARTS = 10
"""How often JobSet makes all pods anew, as a careful user writes it: by itself it never does."""

_GROUP = "trainer.kubeflow.org"
_OF_OURS = frozenset({ATTEMPT_ENV, FIRST_HOST, GANG})
"""Variables by which our own operator's attempts and gangs are told apart."""


class TrainJob(Training):
    """A TrainJob by its name."""

    def pods(self, stage: str = "") -> list[dict[str, Any]]:
        """See ``Training.pods``; it has one stage."""
        return self.kubectl.list("pods", f"jobset.sigs.k8s.io/jobset-name={self.name}")

    def suspend(self, suspend: bool) -> None:
        """See ``Training.suspend``."""
        patch = {"spec": {"suspend": suspend}}
        self.kubectl("patch", "trainjob", self.name, "--type=merge", f"--patch={json.dumps(patch)}")

    @property
    def is_suspended(self) -> bool:
        """See ``Training.is_suspended``."""
        return self._is("Suspended")

    @property
    def restarts(self) -> int:
        """How often it was begun anew: by JobSet, which makes all pods again, and by kubelets, in place."""
        of_all = int(self.kubectl.get("jobset", self.name).get("status", {}).get("restarts", 0))
        statuses = [status for pod in self.pods() for status in pod["status"].get("containerStatuses", [])]
        return of_all + max((status["restartCount"] for status in statuses), default=0)

    def complete(self) -> None:
        """Return when all is trained; fails at once when it has failed."""
        self.until(lambda: self._is("Complete") or self._is("Failed"))
        assert self._is("Complete"), self.told()

    def told(self) -> str:
        """See ``Training.told``."""
        kinds = ("trainjob", "jobset")
        told = [self.kubectl("get", kind, self.name, "--ignore-not-found", "--output=yaml") for kind in kinds]
        for pod in self.pods():
            told.append(json.dumps(pod["status"].get("containerStatuses", pod["status"]))[:1500])
            told.append(self.kubectl("logs", pod["metadata"]["name"], "--tail=25"))
        return "\n".join(told)

    def _is(self, kind: str) -> bool:
        """Whether a condition holds."""
        conditions = self.kubectl.get("trainjob", self.name).get("status", {}).get("conditions", [])
        return any(one["type"] == kind and one["status"] == "True" for one in conditions)


@contextmanager
def training(ours: ClusterJob, name: str) -> Iterator[TrainJob]:
    """What a job of ours has trained, by Kubeflow Trainer, from the beginning, with an output of its own.

    When the context is left, it is deleted and its pods are gone.
    """
    output = f"{ours.output}-{name}"
    resolved = ours.kubectl.get("configmap", f"{ours.name}-job")["data"]["job.json"].replace(ours.output, output)
    open_storage(output).write("stages/prepare.json", ours.storage.read("stages/prepare.json"))
    pod = ours.kubectl.get("job", f"{ours.name}-train-1")["spec"]["template"]["spec"]
    metadata = {"name": name, "namespace": ours.kubectl.namespace}
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"job.json": resolved}}
    ours.kubectl.apply(config, _runtime(metadata, _of_kubeflow(pod, name)))
    job = TrainJob(ours.kubectl, name, output)
    job.until(lambda: _is_taken(ours.kubectl, _train_job(metadata)), 60)
    try:
        yield job
    finally:
        ours.kubectl("delete", f"trainjobs.{_GROUP}", name)
        job.until(lambda: not job.pods())
        ours.kubectl("delete", f"trainingruntimes.{_GROUP}", name, "--wait=false")


def _is_taken(kubectl: Kubectl, train_job: dict[str, Any]) -> bool:
    """Whether it is there now. Trainer refuses one whose runtime it has not heard of yet."""
    try:
        kubectl.apply(train_job)
    except KubectlError:
        return False
    return True


def _train_job(metadata: dict[str, Any]) -> dict[str, Any]:
    command = ["python3", "-u", "-m", "torch.distributed.run", "-m", "mtj_trainer.train", "--job", JOB_FILE]
    return {
        "apiVersion": f"{_GROUP}/v1alpha1",
        "kind": "TrainJob",
        "metadata": metadata,
        "spec": {
            "runtimeRef": {"name": metadata["name"], "kind": "TrainingRuntime"},
            "trainer": {"numNodes": 2, "numProcPerNode": 1, "command": command},
        },
    }


def _runtime(metadata: dict[str, Any], pod: dict[str, Any]) -> dict[str, Any]:
    """Trainer's own for PyTorch, with our pod in it and a failure policy."""
    node = {
        "metadata": {"labels": {f"{_GROUP}/trainjob-ancestor-step": "trainer"}},
        "spec": {"template": {"spec": pod}},
    }
    return {
        "apiVersion": f"{_GROUP}/v1alpha1",
        "kind": "TrainingRuntime",
        "metadata": {**metadata, "labels": {f"{_GROUP}/framework": "torch"}},
        "spec": {
            "mlPolicy": {"numNodes": 2, "torch": {}},
            "template": {
                "spec": {
                    "failurePolicy": {"maxRestarts": MAX_RESTARTS},
                    "replicatedJobs": [{"name": "node", "template": node}],
                }
            },
        },
    }


def _of_kubeflow(pod: dict[str, Any], name: str) -> dict[str, Any]:
    """Our pod without what only our operator sets, and with Trainer's name for its container."""
    (container,) = pod["containers"]
    environment = [one for one in container["env"] if one["name"] not in _OF_OURS]
    volumes = [
        {**volume, "configMap": {**volume["configMap"], "name": name}} if "configMap" in volume else volume
        for volume in pod["volumes"]
    ]
    (spread,) = pod["topologySpreadConstraints"]
    selector = {"matchLabels": {"jobset.sigs.k8s.io/jobset-name": name}}
    own = ("restartPolicy", "subdomain", "workloadRef")
    return {
        **{key: value for key, value in pod.items() if key not in own},
        "containers": [{**container, "name": "node", "env": environment}],
        "volumes": volumes,
        "topologySpreadConstraints": [{**spread, "labelSelector": selector}],
    }
