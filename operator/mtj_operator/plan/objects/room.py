"""The Job that looks for room for the nodes that an attempt at training goes without.

Its pods ask of their nodes what the missing ones would, do nothing, and write nothing. Nobody has to ask the cluster
what is free: they wait until the scheduler finds a place for them, and hold it while training saves its work and begins
anew. A cluster that makes nodes on demand sees them wait.
"""

from __future__ import annotations

from mtj_api.contract import ATTEMPT_LABEL, JOB_LABEL, STAGE_LABEL
from mtj_operator.plan.objects import names
from mtj_operator.plan.objects.child import Attempt, Object
from mtj_operator.plan.objects.metadata import job_labels, metadata
from mtj_operator.plan.objects.pod import pod_template

ROOM = "room"
"""What its pods are labelled with in place of a stage."""

_HOLDS_SECONDS = 3600
"""After so long a pod that nobody has taken away ends by itself: an operator that is away must not keep a GPU idle."""

_ONLY_WHAT_RUNS = ("name", "image", "resources", "volumeMounts", "securityContext")


def room(attempt: Attempt, missing: int) -> Object:
    """The Job.

    Args:
        attempt: at training, on fewer nodes than the job asks for.
        missing: how many fewer.
    """
    owner = attempt.owner
    labels = {
        **job_labels(owner),
        JOB_LABEL: owner.name,
        STAGE_LABEL: ROOM,
        ATTEMPT_LABEL: str(attempt.number),
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata(names.room(owner.name, attempt.number), owner, labels),
        "spec": {
            "completionMode": "Indexed",
            "completions": missing,
            "parallelism": missing,
            "backoffLimit": 100,
            "podReplacementPolicy": "Failed",
            "template": {"metadata": {"labels": labels}, "spec": _pod(attempt)},
        },
    }


def _pod(attempt: Attempt) -> Object:
    """A pod of the attempt, as far as it matters to where it can go."""
    spec: Object = pod_template(attempt)["spec"]
    (container,) = spec["containers"]
    idle = {field: container[field] for field in _ONLY_WHAT_RUNS}
    idle["command"] = [attempt.settings.python, "-c", f"import time; time.sleep({_HOLDS_SECONDS})"]
    kept = {field: value for field, value in spec.items() if field not in ("subdomain", "workloadRef")}
    return {**kept, "terminationGracePeriodSeconds": 1, "containers": [idle]}
