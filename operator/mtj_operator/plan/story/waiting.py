"""Why an attempt waits, in words: for room, an image, a secret, a quota or a queue; or that it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mtj_api.spec import Scheduling
from mtj_api.status import JobState
from mtj_operator.plan.observed import JobSnapshot, PodSnapshot
from mtj_operator.plan.story.verdict import HEADED

_IMAGE = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError")
"""The kubelet goes to and fro between some of these, and its messages with them: a status must not follow."""

_CONTAINER = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
_NO_PODS = "waits for its pods"
_ON_ITS_WAY = ("", "ContainerCreating", "PodInitializing")


@dataclass(frozen=True)
class Standing:
    """Where an attempt that is under way stands.

    Attributes:
        state: ``Pending``, ``Queued`` or ``Running``.
        message: one sentence, without the name of the stage.
    """

    state: JobState
    message: str


def standing(
    stage: str, job: JobSnapshot | None, pods: Sequence[PodSnapshot], refusal: str, scheduling: Scheduling, image: str
) -> Standing:
    """Where an attempt stands.

    Args:
        stage: its name.
        job: its Job; ``None`` while it is not seen yet.
        pods: its pods.
        refusal: why the cluster does not make its Job, or the pods of it; empty where it does.
        scheduling: the job's.
        image: of the pods.
    """
    if job is None:
        return Standing("Pending", refusal or _NO_PODS)
    if job.suspended:
        if scheduling.queue is not None:
            return Standing("Queued", f"waits in the queue {scheduling.queue}")
        return Standing("Pending", f"its Job {job.name} was suspended by somebody else; resume or delete that")
    up = {pod.index for pod in pods if pod.phase in ("Running", "Succeeded")}
    runs = 0 in up if stage == HEADED else len(up) >= job.pods
    if len(up) >= job.pods:
        return Standing("Running", _running(job))
    why = _why(pods, refusal, image)
    found = f"{len(up)} of {job.pods} pods run" if up else "" if why else _NO_PODS
    return Standing("Running" if runs else "Pending", "; ".join(part for part in (found, why) if part))


def _running(job: JobSnapshot) -> str:
    attempt = f", attempt {job.attempt}" if job.attempt > 1 else ""
    return f"runs{f' on {job.pods} pods' if job.pods > 1 else ''}{attempt}"


def _why(pods: Sequence[PodSnapshot], refusal: str, image: str) -> str:
    """Why a pod does not run; empty where it is merely on its way."""
    for pod in pods:
        reason, message = pod.waiting
        if pod.phase != "Pending" or reason in _ON_ITS_WAY:
            continue
        if reason == "Unschedulable":
            return f"no node takes {pod.name}: {message}"
        if reason in _IMAGE:
            return (
                f"the image {image} cannot be pulled; name another by scheduling.image, or a Secret for its registry "
                "by scheduling.podTemplate.imagePullSecrets"
            )
        if reason in _CONTAINER:
            return f"the container of {pod.name} cannot be made: {message}; create what is missing, and it goes on"
        return f"{pod.name} waits ({reason}): {message}" if message else f"{pod.name} waits ({reason})"
    told = "the cluster makes no more pods for it" if pods else "the cluster makes no pods for it"
    return f"{told}: {refusal}" if refusal else ""
