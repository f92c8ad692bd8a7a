"""What the operator makes for a job: whose it is, which attempt it belongs to, and how it is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from mtj_api import MusicTrainingJob
from mtj_api.spec import Scheduling
from mtj_operator.plan.objects import names
from mtj_operator.plan.settings import ClusterSettings
from mtj_operator.plan.stages import Gang, Stage

Object = dict[str, Any]
"""An object of Kubernetes, or a part of one, as the API server takes it."""


@dataclass(frozen=True)
class Owner:
    """The MusicTrainingJob that owns what is made for it, and takes it along when it is deleted."""

    namespace: str
    name: str
    uid: str


@dataclass(frozen=True)
class Child:
    """An object to make.

    Attributes:
        object: the whole of it.
        how: ``create`` it once under its name, or ``apply`` it again at any time, server-side.
        optional: whether the job goes on where it cannot be made.
    """

    object: Object
    how: Literal["create", "apply"]
    optional: bool = False


@dataclass(frozen=True)
class Attempt:
    """One attempt at a stage, which is what pods are made for.

    Attributes:
        job: the resolved job.
        owner: its resource.
        stage: one of the plan's.
        number: from 1.
        settings: the cluster's.
    """

    job: MusicTrainingJob
    owner: Owner
    stage: Stage
    number: int
    settings: ClusterSettings

    @property
    def name(self) -> str:
        """Of its Job, which the names of its pods begin with."""
        return names.attempt(self.owner.name, self.stage.name, self.number)

    @property
    def scheduling(self) -> Scheduling:
        """What the job asks of the cluster."""
        return self.job.spec.scheduling

    @property
    def headed(self) -> bool:
        """Whether its pods may go and come back while the first is there."""
        return self.stage.gang is Gang.HEADED and self.stage.nodes > 1

    @property
    def starts_whole(self) -> bool:
        """Whether no pod of it may start before all can."""
        return self.stage.gang is Gang.WHOLE and self.stage.nodes > 1
