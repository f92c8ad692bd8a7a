"""The resource itself."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from mtj_api.contract import API_VERSION, KIND
from mtj_api.spec.base import Rule, SpecModel, Url
from mtj_api.spec.checkpoint import Checkpoint
from mtj_api.spec.dataset import Dataset
from mtj_api.spec.evaluation import Evaluation
from mtj_api.spec.model import Model
from mtj_api.spec.monitoring import Monitoring
from mtj_api.spec.training import Training

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=52)]
"""A DNS label, short enough for the names of a job's pods."""


class Metadata(BaseModel):
    """The part of Kubernetes' ObjectMeta that matters here; the rest is Kubernetes' own."""

    model_config = ConfigDict(extra="allow")

    name: Name


class JobSpec(SpecModel):
    """What to prepare, train, evaluate and publish."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.model) || !has(self.training)",
            lambda s: s.model is not None or s.training is None,
            "training needs a model; leave both out to prepare data only",
        ),
    )

    dataset: Dataset
    model: Model | None = None
    """Without a model the job prepares the data and reports on it."""
    training: Training | None = None
    checkpoint: Checkpoint = Field(default_factory=Checkpoint)
    evaluation: Evaluation = Field(default_factory=Evaluation)
    monitoring: Monitoring = Field(default_factory=Monitoring)
    output: Url
    """Where the model, the report and the figures go."""


class MusicTrainingJob(BaseModel):
    """Trains a music model from a folder of recordings or MIDI."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    api_version: Literal["training.discomusica.io/v1alpha1"] = Field(alias="apiVersion", default=API_VERSION)
    kind: Literal["MusicTrainingJob"] = KIND
    metadata: Metadata
    spec: JobSpec
    status: dict[str, Any] | None = Field(default=None, exclude=True)
    """Written by the operator, ignored when a job is read."""
