"""What a job gets from whoever runs the operator, where it says nothing itself.

Invariant: it is about where and under what name pods run, and never about what they compute: with the same job, other
defaults give the same model.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from mtj_api import MusicTrainingJob
from mtj_api.spec import PodResources, PodTemplate, Scheduling, StageResources

FIELDS = ("resources", "node_selector", "tolerations", "priority_class_name", "queue", "pod_template")
"""Of ``Scheduling``: what there may be defaults for. GPUs are asked for by each job, as it trains on as many."""

_Item = TypeVar("_Item")


def with_defaults(job: MusicTrainingJob, defaults: Scheduling) -> MusicTrainingJob:
    """The job with what it leaves out.

    What it says goes before: its value, its entry of the same key or name, its volume in the same folder.

    Args:
        job: as written; it is left as it is.
        defaults: of which ``FIELDS`` count.
    """
    own = job.spec.scheduling
    scheduling = own.model_copy(
        update={
            "resources": _resources(own.resources, defaults.resources),
            "node_selector": {**defaults.node_selector, **own.node_selector},
            "tolerations": _joined(own.tolerations, defaults.tolerations),
            "priority_class_name": own.priority_class_name or defaults.priority_class_name,
            "queue": own.queue or defaults.queue,
            "pod_template": _pod_template(own.pod_template, defaults.pod_template),
        }
    )
    return job.model_copy(update={"spec": job.spec.model_copy(update={"scheduling": scheduling})})


def _resources(own: StageResources, defaults: StageResources) -> StageResources:
    stages = StageResources.model_fields
    return own.model_copy(update={stage: _asked(getattr(own, stage), getattr(defaults, stage)) for stage in stages})


def _asked(own: PodResources, default: PodResources) -> PodResources:
    return own.model_copy(update={"cpu": own.cpu or default.cpu, "memory": own.memory or default.memory})


def _pod_template(own: PodTemplate, defaults: PodTemplate) -> PodTemplate:
    variables = {variable.name for variable in own.env}
    names, folders = ({getattr(volume, part) for volume in own.volumes} for part in ("name", "mount_path"))
    return own.model_copy(
        update={
            "labels": {**defaults.labels, **own.labels},
            "annotations": {**defaults.annotations, **own.annotations},
            "service_account_name": own.service_account_name or defaults.service_account_name,
            "image_pull_secrets": _joined(own.image_pull_secrets, defaults.image_pull_secrets),
            "env": [*own.env, *(variable for variable in defaults.env if variable.name not in variables)],
            "volumes": [
                *own.volumes,
                *(one for one in defaults.volumes if one.name not in names and one.mount_path not in folders),
            ],
        }
    )


def _joined(own: Iterable[_Item], defaults: Iterable[_Item]) -> list[_Item]:
    found = list(own)
    return [*found, *(one for one in defaults if one not in found)]
