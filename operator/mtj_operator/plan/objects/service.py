"""The headless Service that makes the pods of a job known to each other by name."""

from __future__ import annotations

from mtj_api.contract import JOB_LABEL
from mtj_operator.plan.objects import names
from mtj_operator.plan.objects.child import Attempt, Object
from mtj_operator.plan.objects.metadata import job_labels, metadata


def service(attempt: Attempt) -> Object:
    """The Service of the job; it is the same for each of its attempts.

    Pods are found before they are ready, as they get ready by finding each other.
    """
    owner = attempt.owner
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(names.service(owner.name), owner, job_labels(owner)),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {JOB_LABEL: owner.name},
        },
    }
