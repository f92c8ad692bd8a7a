"""How the pods of an attempt come to nodes: all at once or none, and each to a node of its own where there are enough.

Of the two ways to start a gang whole, Kueue is the job's choice, by naming a queue; Kubernetes' own is used wherever
the cluster has it. The pods of a headed gang start as they can: the first does the work alone if need be.
"""

from __future__ import annotations

from mtj_operator.plan.objects import names
from mtj_operator.plan.objects.child import Attempt, Object
from mtj_operator.plan.objects.metadata import attempt_selector, job_labels, metadata

QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
"""Has Kueue decide when a Job starts."""


def queue_labels(attempt: Attempt) -> dict[str, str]:
    """More labels of a Job that Kueue is to start."""
    return {QUEUE_LABEL: attempt.scheduling.queue} if attempt.scheduling.queue else {}


def uses_workload(attempt: Attempt) -> bool:
    """Whether Kubernetes itself starts the pods together."""
    return attempt.settings.gangs and attempt.starts_whole and not attempt.scheduling.queue


def workload(attempt: Attempt) -> Object:
    """The Workload of a stage: it is the same for each attempt, whose pods are told apart as its replicas.

    An elastic gang begins to start with its fewest pods: how many more find room is what its size follows from.
    """
    owner, stage, training = attempt.owner, attempt.stage, attempt.job.spec.training
    fewest = stage.nodes if training is None else training.min_nodes
    return {
        "apiVersion": "scheduling.k8s.io/v1alpha1",
        "kind": "Workload",
        "metadata": metadata(names.gang(owner.name, stage.name), owner, job_labels(owner)),
        "spec": {"podGroups": [{"name": stage.name, "policy": {"gang": {"minCount": fewest}}}]},
    }


def placement(attempt: Attempt) -> Object:
    """What the pods' specification says of where they go beside the others."""
    found: Object = {}
    if attempt.stage.nodes > 1:
        found["topologySpreadConstraints"] = [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": attempt_selector(attempt)},
            }
        ]
    if uses_workload(attempt):
        stage = attempt.stage.name
        found["workloadRef"] = {
            "name": names.gang(attempt.owner.name, stage),
            "podGroup": stage,
            "podGroupReplicaKey": str(attempt.number),
        }
    return found
