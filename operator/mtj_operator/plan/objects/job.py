"""The Job of an attempt at a stage: one gang of pods, which Kubernetes itself never starts anew.

Another attempt is another Job, made by the operator, which alone knows whether the failure counts and where training
goes on. So no Job has a time to live or a deadline: one that vanished would be made again.
"""

from __future__ import annotations

import hashlib
import json

from mtj_api.contract import CONTAINER, PLAN_ANNOTATION, ExitCode
from mtj_operator.plan.objects.child import Attempt, Object
from mtj_operator.plan.objects.gang import queue_labels
from mtj_operator.plan.objects.metadata import attempt_labels, metadata
from mtj_operator.plan.objects.pod import pod_template

ON_DISRUPTION = [{"type": "DisruptionTarget", "status": "True"}]
"""A pod that was preempted, evicted or lost with its node."""


def job(attempt: Attempt, config_map: Object) -> Object:
    """The Job.

    Args:
        attempt: what it is for.
        config_map: what its pods read, as a part of what it is made from.
    """
    labels = {**attempt_labels(attempt), **queue_labels(attempt)}
    found: Object = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata(attempt.name, attempt.owner, labels),
        "spec": {
            "completionMode": "Indexed",
            "completions": attempt.stage.nodes,
            "parallelism": attempt.stage.nodes,
            **(_headed() if attempt.headed else _whole()),
            "podReplacementPolicy": "Failed",
            **({"suspend": True} if attempt.scheduling.queue else {}),
            "template": pod_template(attempt),
        },
    }
    found["metadata"]["annotations"] = {PLAN_ANNOTATION: _hash(found, config_map["data"])}
    return found


def _whole() -> Object:
    """Every pod is needed: the first that fails ends the attempt, and its exit code says what that means."""
    return {
        "backoffLimit": 0,
        "podFailurePolicy": {
            "rules": [
                _on_exit("FailJob", ExitCode.WRONG_JOB, ExitCode.PEER_LOST, ExitCode.INTERRUPTED),
                {"action": "FailJob", "onPodConditions": ON_DISRUPTION},
            ]
        },
    }


def _headed() -> Object:
    """Done when pod 0 is done. Another that was taken away comes back; one that failed stays away."""
    return {
        "backoffLimitPerIndex": 0,
        "podFailurePolicy": {
            "rules": [
                _on_exit("FailJob", ExitCode.WRONG_JOB),
                {"action": "Ignore", "onPodConditions": ON_DISRUPTION},
            ]
        },
        "successPolicy": {"rules": [{"succeededIndexes": "0"}]},
    }


def _on_exit(action: str, *codes: ExitCode) -> Object:
    values = sorted(int(code) for code in codes)
    return {"action": action, "onExitCodes": {"containerName": CONTAINER, "operator": "In", "values": values}}


def _hash(*made_from: Object) -> str:
    text = json.dumps(made_from, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
