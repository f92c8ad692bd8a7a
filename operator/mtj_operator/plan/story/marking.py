"""The last complete checkpoint as annotations of the pods that train: whoever preempts pods can take what loses least.

Kubernetes and Kueue have no convention for it; the names are in ``mtj_api.contract``. Invariant: the annotations follow
from the status alone, so that they change as seldom as that, and a pod that has them is left alone.
"""

from __future__ import annotations

from mtj_api.contract import CHECKPOINT_STEP_ANNOTATION, CHECKPOINT_TIME_ANNOTATION
from mtj_api.status import JobStatus
from mtj_operator.plan.story.decision import Mark
from mtj_operator.plan.story.seen import Seen


def marks(status: JobStatus, seen: Seen) -> tuple[Mark, ...]:
    """The annotations that pods of the attempt under way lack.

    Args:
        status: as it is to be.
        seen: the job's children.
    """
    train = next((row for row in status.stages if row.name == "train"), None)
    if status.checkpoint is None or train is None or train.state not in ("Pending", "Running"):
        return ()
    wanted = (str(status.checkpoint.step), status.checkpoint.time or "")
    annotations = {CHECKPOINT_STEP_ANNOTATION: wanted[0], CHECKPOINT_TIME_ANNOTATION: wanted[1] or None}
    return tuple(
        Mark(pod.name, annotations)
        for pod in seen.pods_of(train.name, train.attempt)
        if pod.phase == "Running" and not pod.deleted and pod.marked != wanted
    )
