"""What is to be done for a job now, as values: the controller carries it out, write by write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mtj_api.status import JobStatus
from mtj_operator.plan.objects import Child


@dataclass(frozen=True)
class Deletion:
    """A child to delete in the background; one of the same name with another uid is somebody else's.

    Attributes:
        grace: seconds that a ``Pod`` may take; with 0 nobody has to confirm its end. ``None`` for a ``Job``, whose pods
            have their own.
    """

    kind: str
    name: str
    uid: str
    grace: int | None = None


@dataclass(frozen=True)
class Mark:
    """Annotations that a pod is to have, or, where one is ``None``, not to have."""

    pod: str
    annotations: Mapping[str, str | None]


@dataclass(frozen=True)
class StoryEvent:
    """A turn of the story, for ``kubectl describe``.

    Attributes:
        reason: one word, in camel case.
        message: one sentence.
        warning: whether somebody may have to do something.
        key: tells it from the job's other events; the same turn always has the same one.
    """

    reason: str
    message: str
    warning: bool
    key: str


@dataclass(frozen=True)
class Decision:
    """What to do, in this order: make, delete, tell, write the status, mark, come back.

    Attributes:
        status: the whole status as it is to be.
        children: to make now; whatever is there already under its name and is the job's own is as good as made.
        requeue_after: seconds until something is to be decided again, though nothing may have happened.
        delete_resource: whether the job has outlived its time.
        marks: of pods, for others than the operator. Where one cannot be set, nothing waits for it.
        waits_for: names of jobs after whose every change something is to be decided again.
    """

    status: JobStatus
    children: tuple[Child, ...] = ()
    deletions: tuple[Deletion, ...] = ()
    events: tuple[StoryEvent, ...] = ()
    requeue_after: float | None = None
    delete_resource: bool = False
    waits_for: tuple[str, ...] = ()
    marks: tuple[Mark, ...] = ()
