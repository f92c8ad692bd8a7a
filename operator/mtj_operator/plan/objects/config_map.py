"""The ConfigMap that brings a job to its pods.

Invariant: byte for byte the same for equal jobs, and without what may change while the job runs: how it is scheduled,
and its status. So it is made once and never changed, which kubelets need not watch.
"""

from __future__ import annotations

import posixpath

from mtj_api import MusicTrainingJob, stage_json
from mtj_api.contract import JOB_FILE
from mtj_api.spec import Metadata
from mtj_operator.plan.objects import names
from mtj_operator.plan.objects.child import Attempt, Object
from mtj_operator.plan.objects.metadata import job_labels, metadata
from mtj_operator.plan.places import on_cluster


def config_map(attempt: Attempt) -> Object:
    """The ConfigMap of the job; it is the same for each of its attempts."""
    owner = attempt.owner
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(names.config_map(owner.name), owner, job_labels(owner)),
        "immutable": True,
        "data": {posixpath.basename(JOB_FILE): _for_stages(attempt.job)},
    }


def _for_stages(job: MusicTrainingJob) -> str:
    """The job as far as stages have to know it, as JSON."""
    placed = on_cluster(job)
    placed.metadata = Metadata(name=job.metadata.name)
    return stage_json(placed)
