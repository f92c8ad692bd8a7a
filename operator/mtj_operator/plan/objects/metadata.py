"""What every object of a job carries: labels that say what it is, and the reference that makes it the job's own."""

from __future__ import annotations

from mtj_api.contract import API_VERSION, ATTEMPT_LABEL, JOB_LABEL, KIND, MANAGER, STAGE_LABEL
from mtj_operator.plan.objects.child import Attempt, Object, Owner


def job_labels(owner: Owner) -> dict[str, str]:
    """Of what all stages of a job share."""
    return {
        "app.kubernetes.io/name": "music-training-job",
        "app.kubernetes.io/instance": owner.name,
        "app.kubernetes.io/managed-by": MANAGER,
        JOB_LABEL: owner.name,
    }


def attempt_labels(attempt: Attempt) -> dict[str, str]:
    """Of a Job and its pods."""
    return {**job_labels(attempt.owner), **attempt_selector(attempt)}


def attempt_selector(attempt: Attempt) -> dict[str, str]:
    """Those that only the pods of this attempt have."""
    return {
        JOB_LABEL: attempt.owner.name,
        STAGE_LABEL: attempt.stage.name,
        ATTEMPT_LABEL: str(attempt.number),
    }


def metadata(name: str, owner: Owner, labels: dict[str, str]) -> Object:
    """Of an object that goes when its job goes.

    Its deletion does not hold up the job's: ``blockOwnerDeletion`` would need the right to change finalizers.
    """
    reference = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }
    return {"name": name, "namespace": owner.namespace, "labels": labels, "ownerReferences": [reference]}
