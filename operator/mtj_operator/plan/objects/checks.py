"""What a job may not ask of its pods, beyond what the API itself refuses: each with a sentence.

Invariant: a job that passes makes objects that the API server takes and that keep the operator's own parts whole. The
checks run before the first stage, so that no job prepares data for hours to fail for its name.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from math import ceil

from mtj_api import JobError, MusicTrainingJob
from mtj_api.contract import RENDEZVOUS_PORT
from mtj_api.spec import PodTemplate, Scheduling, StageResources
from mtj_api.spec.kubernetes import amount
from mtj_operator.plan.objects.environment import OWN
from mtj_operator.plan.objects.volumes import MOUNTS
from mtj_operator.plan.stages import Plan

TEMPLATE = "spec.scheduling.podTemplate"

OTHERS_DOMAINS = ("batch.kubernetes.io/", "kueue.x-k8s.io/", "training.discomusica.io/")
UNCONFINED = (
    "container.apparmor.security.beta.kubernetes.io/",
    "seccomp.security.alpha.kubernetes.io/",
    "container.seccomp.security.alpha.kubernetes.io/",
)
"""Annotations by which a pod may ask to be confined less."""

OTHERS_LABELS = ("controller-uid", "job-name")
"""Labels and annotations by which Kubernetes, Kueue and the operator know pods."""

MOST_MEMORY = 2**50
"""Bytes of a pod; the API server's own sums overflow some way beyond."""


def check(job: MusicTrainingJob, plan: Plan) -> None:
    """Whether a cluster can run the job.

    Args:
        job: a resolved job.
        plan: its stages on a cluster.

    Raises:
        JobError: it cannot; the first reason.
    """
    for error in _errors(job, plan):
        raise error


def check_scheduling(scheduling: Scheduling) -> None:
    """Whether pods may be given what ``spec.scheduling`` asks for, whatever the job.

    Raises:
        JobError: they may not; the first reason.
    """
    for error in _scheduling(scheduling):
        raise error


def _errors(job: MusicTrainingJob, plan: Plan) -> Iterator[JobError]:
    yield from _name(job, plan)
    yield from _ports(plan)
    yield from _scheduling(job.spec.scheduling)


def _scheduling(scheduling: Scheduling) -> Iterator[JobError]:
    yield from _memory(scheduling.resources)
    yield from _priority(scheduling.priority_class_name)
    yield from _template(scheduling.pod_template)


def _name(job: MusicTrainingJob, plan: Plan) -> Iterator[JobError]:
    name = job.metadata.name
    if name[0].isdecimal() and any(stage.nodes > 1 for stage in plan.stages):
        yield JobError(
            f"{name} begins with a digit, which the Service that several pods find each other by may not",
            where="metadata.name",
            instead=f"write a name that begins with a letter, such as mtj-{name}",
        )


def _ports(plan: Plan) -> Iterator[JobError]:
    for stage in plan.stages:
        if stage.nodes > 1 and RENDEZVOUS_PORT in stage.metrics_ports:
            yield JobError(
                f"the port {RENDEZVOUS_PORT}, where training processes of several nodes meet, would also serve metrics",
                where="spec.monitoring.metricsPort",
                instead="write another, such as 9640",
            )


def _memory(resources: StageResources) -> Iterator[JobError]:
    for stage in StageResources.model_fields:
        memory = getattr(resources, stage).memory
        if memory is None:
            continue
        where, asked = f"spec.scheduling.resources.{stage}.memory", amount(memory)
        if asked.denominator != 1:
            meant = memory[:-1] if memory.endswith("m") else ceil(asked / 2**20)
            yield JobError(f"{memory} is no whole number of bytes", where=where, instead=f"write {meant}Mi")
        elif asked > MOST_MEMORY:
            yield JobError(
                f"{memory} is more memory than any node has", where=where, instead="write less, such as 64Gi"
            )


def _priority(name: str | None) -> Iterator[JobError]:
    if name is not None and name.startswith("system-"):
        yield JobError(
            f"the priority {name} is for what a cluster itself runs on, and would drive that from its nodes",
            where="spec.scheduling.priorityClassName",
            instead="name a PriorityClass of your own",
        )


def _template(template: PodTemplate) -> Iterator[JobError]:
    for field, keys in (("labels", template.labels), ("annotations", template.annotations)):
        for key in keys:
            if key.startswith(UNCONFINED):
                yield JobError(
                    f"{key} decides how a pod is confined", where=f"{TEMPLATE}.{field}", instead="leave it out"
                )
            if key in OTHERS_LABELS or key.startswith(OTHERS_DOMAINS):
                yield JobError(
                    f"{key} is how Kubernetes, Kueue or the operator itself knows a pod",
                    where=f"{TEMPLATE}.{field}",
                    instead="leave it out",
                )
    for variable in template.env:
        if variable.name in OWN:
            yield JobError(
                f"the variable {variable.name} is the operator's own", where=f"{TEMPLATE}.env", instead="leave it out"
            )
    for volume in template.volumes:
        if volume.name in MOUNTS:
            yield JobError(
                f"the volume {volume.name} is the operator's own",
                where=f"{TEMPLATE}.volumes",
                instead="give yours another name",
            )
        if volume.mount_path != posixpath.normpath(volume.mount_path) or _hides(volume.mount_path):
            yield JobError(
                f"{volume.mount_path} is no folder for a volume",
                where=f"{TEMPLATE}.volumes",
                instead="write one that a pod has no use for itself, such as /music",
            )


def _hides(path: str) -> bool:
    """Whether a volume there would hide a folder that the pod needs."""
    return any(f"{own}/".startswith(f"{path}/") for own in MOUNTS.values())
