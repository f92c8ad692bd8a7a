"""The conditions of a job, for ``kubectl wait``, Flux and Argo CD: ``Succeeded``, ``Reconciling``, ``Stalled``.

``Reconciling`` and ``Stalled`` are kstatus's: true while there is something to wait for, or to mend. A job whose pods
start together or not at all has ``GangScheduling`` besides, and one that trains on GPUs ``GPUsIdle`` (``idling``).
Invariant: a condition's time moves only with its status.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mtj_api import MusicTrainingJob
from mtj_api.status import Condition, JobState
from mtj_operator.plan.settings import ClusterSettings
from mtj_operator.plan.story.clock import rfc3339


@dataclass(frozen=True)
class Fact:
    """A condition without its time."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str


def facts(state: JobState, reason: str, message: str) -> tuple[Fact, ...]:
    """What a job's state comes to.

    Args:
        state: of the job.
        reason: the same in one word, or why it failed.
        message: one sentence.
    """
    succeeded: Literal["True", "False", "Unknown"] = "Unknown"
    if state in ("Succeeded", "Failed"):
        succeeded = "True" if state == "Succeeded" else "False"
    goes_on = state in ("Pending", "Queued", "Running")
    return (
        Fact("Succeeded", succeeded, reason, message),
        Fact("Reconciling", "True" if goes_on else "False", reason, message if goes_on else ""),
        Fact("Stalled", "True" if state == "Failed" else "False", reason, message if state == "Failed" else ""),
    )


def gang_scheduling(job: MusicTrainingJob, settings: ClusterSettings) -> tuple[Fact, ...]:
    """Whether the pods that train together are started together; nothing for a job where one pod trains."""
    if job.spec.training is None or job.spec.training.nodes == 1:
        return ()
    queue = job.spec.scheduling.queue
    if queue is not None:
        return (Fact("GangScheduling", "True", "Kueue", f"the queue {queue} admits its pods together"),)
    if settings.gangs:
        fewest = job.spec.training.min_nodes or job.spec.training.nodes
        some = "its pods" if fewest == job.spec.training.nodes else f"at least {fewest} of its pods"
        return (Fact("GangScheduling", "True", "WorkloadAPI", f"the scheduler starts {some} together or not at all"),)
    message = (
        "pods are scheduled one by one, so that some may hold nodes while others wait; for gangs, name a queue of "
        "Kueue as scheduling.queue, or serve scheduling.k8s.io/v1alpha1"
    )
    return (Fact("GangScheduling", "False", "NotServed", message),)


def conditions(before: list[Condition], found: tuple[Fact, ...], generation: int, now: float) -> list[Condition]:
    """The conditions with these facts; others that somebody else may have set stay."""
    old = {condition.type: condition for condition in before}
    new = dict(old)
    for fact in found:
        was = old.get(fact.type)
        since = was.last_transition_time if was is not None and was.status == fact.status else rfc3339(now)
        new[fact.type] = Condition.model_construct(
            type=fact.type,
            status=fact.status,
            reason=fact.reason,
            message=fact.message,
            last_transition_time=since,
            observed_generation=generation,
        )
    return list(new.values())
