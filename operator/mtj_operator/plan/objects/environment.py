"""The environment of a stage's container.

Its root file system is read only, so libraries are to keep what they write below the home folder: it is on a volume,
and that is enough for numba, matplotlib, Ray, Triton and PyTorch's extensions.
"""

from __future__ import annotations

from mtj_api.contract import ATTEMPT_ENV, POD_WORK_DIR, TERMINATION_LOG_ENV, WORK_DIR_ENV
from mtj_operator.plan.objects import names
from mtj_operator.plan.objects.child import Attempt, Object
from mtj_operator.plan.stages import Nodes

TERMINATION_LOG = "/dev/termination-log"
"""Where a kubelet looks for a container's last words."""

INDEX = "JOB_COMPLETION_INDEX"
"""Which pod of an attempt it is: a variable that Kubernetes itself sets."""

FIRST_HOST = "MTJ_FIRST_HOST"
GANG = "MTJ_GANG"

NODES = Nodes(rank=f"$({INDEX})", first=f"$({FIRST_HOST})", gang=f"$({GANG})")
"""Kubernetes puts the values of variables into a command, so the same command does for every pod and attempt."""

OWN = frozenset({"HOME", "TMPDIR", "USER", "OMP_NUM_THREADS", "PYTHONUNBUFFERED", INDEX})
"""Variables that a job may not set, beside those that begin with ``MTJ_``."""


def environment(attempt: Attempt) -> list[Object]:
    """The variables by name: the operator's own, then the job's."""
    own = {
        "HOME": POD_WORK_DIR,
        "TMPDIR": "/tmp",  # noqa: S108 - a pod's own
        "USER": "mtj",  # PyTorch asks for it, and an image need not know the user's number
        WORK_DIR_ENV: POD_WORK_DIR,
        TERMINATION_LOG_ENV: TERMINATION_LOG,
        ATTEMPT_ENV: str(attempt.number),
        **attempt.stage.environment,
    }
    if attempt.stage.nodes > 1:
        own[FIRST_HOST] = names.first_host(attempt.owner.name, attempt.stage.name, attempt.number)
        own[GANG] = f"{attempt.owner.uid}-{attempt.number}"
    given = attempt.scheduling.pod_template.env
    return [
        *({"name": name, "value": value} for name, value in own.items()),
        *(variable.model_dump(by_alias=True, exclude_none=True) for variable in given),
    ]


def sources(attempt: Attempt) -> list[Object]:
    """Where the environment for the storage comes from: credentials are in no object but their Secret."""
    secret = attempt.scheduling.storage_secret or attempt.settings.storage_secret
    return [{"secretRef": {"name": secret}}] if secret else []
