"""The folders of a stage's pods: the job, what may be written, and what the job brings along."""

from __future__ import annotations

import posixpath

from mtj_api.contract import JOB_FILE, POD_WORK_DIR
from mtj_api.spec import Volume
from mtj_operator.plan.objects import names
from mtj_operator.plan.objects.child import Attempt, Object
from mtj_operator.plan.objects.resources import asked

MOUNTS = {
    "mtj-job": posixpath.dirname(JOB_FILE),
    "mtj-work": POD_WORK_DIR,
    "mtj-tmp": "/tmp",  # noqa: S108 - a pod's own
    "mtj-shm": "/dev/shm",  # noqa: S108 - a pod's own
}
"""The operator's own volumes, by name, and where the container has them."""


def volumes(attempt: Attempt) -> list[Object]:
    """The volumes of a pod.

    Shared memory is what Ray and the exchange of gradients use; the 64 MiB that containers have otherwise is too
    little for both. What lies there counts as the pod's memory.
    """
    memory = asked(attempt.scheduling, attempt.stage.name).memory
    own: dict[str, Object] = {
        "mtj-job": {"configMap": {"name": names.config_map(attempt.owner.name)}},
        "mtj-work": {"emptyDir": {}},
        "mtj-tmp": {"emptyDir": {}},
        "mtj-shm": {"emptyDir": {"medium": "Memory"} | ({"sizeLimit": memory} if memory else {})},
    }
    given = attempt.scheduling.pod_template.volumes
    return [
        *({"name": name, **source} for name, source in own.items()),
        *({"name": volume.name, **_source(volume)} for volume in given),
    ]


def mounts(attempt: Attempt) -> list[Object]:
    """Where the container has them."""
    own = [{"name": name, "mountPath": path, **_read_only(name == "mtj-job")} for name, path in MOUNTS.items()]
    given = attempt.scheduling.pod_template.volumes
    return [*own, *(_mount(volume) for volume in given)]


def _source(volume: Volume) -> Object:
    if volume.persistent_volume_claim is not None:
        claim = volume.persistent_volume_claim
        return {"persistentVolumeClaim": {"claimName": claim.claim_name, "readOnly": claim.read_only}}
    if volume.secret is not None:
        return {"secret": {"secretName": volume.secret}}
    return {"configMap": {"name": volume.config_map}}


def _mount(volume: Volume) -> Object:
    claim = volume.persistent_volume_claim
    return {"name": volume.name, "mountPath": volume.mount_path, **_read_only(claim is None or claim.read_only)}


def _read_only(yes: bool) -> Object:
    return {"readOnly": True} if yes else {}
