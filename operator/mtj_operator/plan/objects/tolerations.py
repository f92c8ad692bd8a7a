"""Which taints of nodes the pods put up with: a node that does not answer keeps them for a moment only.

Kubernetes' own default is five minutes, in which all other pods of a gang would wait for one that is gone.
"""

from __future__ import annotations

from mtj_api.spec import Scheduling, Toleration
from mtj_operator.plan.objects.child import Object

LOST_NODE = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
"""The taints of a node that says nothing any more, or says that it cannot run pods."""

STAYS_SECONDS = 30
"""How long a pod stays on such a node, where the job has no toleration of its own for that taint."""


def tolerations(scheduling: Scheduling) -> list[Object]:
    """The pods' tolerations: the job's, then those for the loss of a node that it leaves open."""
    own = [
        {"key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": STAYS_SECONDS}
        for taint in LOST_NODE
        if not any(_is_about(one, taint) for one in scheduling.tolerations)
    ]
    return [*(one.model_dump(by_alias=True, exclude_none=True) for one in scheduling.tolerations), *own]


def _is_about(toleration: Toleration, taint: str) -> bool:
    return toleration.key in (None, taint) and toleration.effect in (None, "NoExecute")
