"""A stage of a job as objects of Kubernetes: pure functions, one kind of object a file."""

from __future__ import annotations

from mtj_api import MusicTrainingJob
from mtj_operator.plan.objects.child import Attempt, Child, Object, Owner
from mtj_operator.plan.objects.config_map import config_map
from mtj_operator.plan.objects.gang import uses_workload, workload
from mtj_operator.plan.objects.job import job as job_of
from mtj_operator.plan.objects.room import room
from mtj_operator.plan.objects.service import service
from mtj_operator.plan.objects.site import stages_on_cluster
from mtj_operator.plan.settings import ClusterSettings
from mtj_operator.plan.stages import Stage

__all__ = ["Child", "Object", "Owner", "children", "room_beside", "stages_on_cluster"]


def children(
    job: MusicTrainingJob, owner: Owner, stage: Stage, attempt: int, settings: ClusterSettings
) -> tuple[Child, ...]:
    """What an attempt at a stage takes, in the order in which it is to be made; its Job is the last.

    Args:
        job: the resolved job, of which ``stages_on_cluster`` made a plan.
        owner: its resource.
        stage: one of that plan.
        attempt: from 1.
        settings: the cluster's.
    """
    whole = Attempt(job, owner, stage, attempt, settings)
    read = config_map(whole)
    made = [Child(read, "create")]
    if stage.nodes > 1:
        made.append(Child(service(whole), "apply"))
    if uses_workload(whole):
        made.append(Child(workload(whole), "create"))
    made.append(Child(job_of(whole, read), "create"))
    return tuple(made)


def room_beside(
    job: MusicTrainingJob, owner: Owner, stage: Stage, attempt: int, missing: int, settings: ClusterSettings
) -> Child:
    """What looks for room for more nodes, beside an attempt that goes without them.

    Args:
        job, owner, stage, attempt, settings: as of ``children``, of the attempt under way.
        missing: how many more nodes.
    """
    return Child(room(Attempt(job, owner, stage, attempt, settings), missing), "create", optional=True)
