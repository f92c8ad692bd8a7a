"""The stages of a job on a cluster, where each node is a pod."""

from __future__ import annotations

from mtj_api import MusicTrainingJob
from mtj_api.contract import JOB_FILE
from mtj_operator.plan.objects.checks import check
from mtj_operator.plan.objects.environment import NODES
from mtj_operator.plan.objects.resources import cores
from mtj_operator.plan.places import on_cluster
from mtj_operator.plan.settings import ClusterSettings
from mtj_operator.plan.stages import STAGES, Plan, Site, plan


def stages_on_cluster(job: MusicTrainingJob, settings: ClusterSettings, nodes: int | None = None) -> Plan:
    """The stages of a resolved job, each with the pods that it takes.

    Args:
        job: the job.
        settings: the cluster's.
        nodes: on how many nodes it trains, if these are fewer than the job asks for.

    Raises:
        JobError: the job cannot run on a cluster as it is written.
    """
    site = Site(python=settings.python, job_file=JOB_FILE, cores_of=cores(job.spec.scheduling, STAGES), nodes=NODES)
    found = plan(on_cluster(job), site, nodes)
    check(job, found)
    return found
