"""The resource itself."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from mtj_api.contract import API_VERSION, KIND
from mtj_api.spec.base import Edit, Rule, SpecModel, Url, unchanged
from mtj_api.spec.checkpoint import Checkpoint
from mtj_api.spec.dataset import Dataset
from mtj_api.spec.evaluation import Evaluation
from mtj_api.spec.kubernetes import DNS_LABEL
from mtj_api.spec.model import Condition, Model
from mtj_api.spec.monitoring import Monitoring
from mtj_api.spec.scheduling import Scheduling
from mtj_api.spec.training import Training

NAME_PATTERN = DNS_LABEL
NAME_LENGTH = 45
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN, max_length=NAME_LENGTH)]
"""A DNS label, which leaves room for ``-evaluate-999-1023`` in the host names of a job's pods, of 63 characters."""


class Metadata(BaseModel):
    """The part of Kubernetes' ObjectMeta that matters here; the rest is Kubernetes' own."""

    model_config = ConfigDict(extra="allow")

    name: Name


def _strategy_fits(spec: JobSpec) -> bool:
    if spec.training is None or spec.training.strategy is None or spec.model is None:
        return True
    return (spec.training.strategy == "finetune") == (spec.model.pretrained is not None)


def _requests_fit(spec: JobSpec) -> bool:
    if spec.model is None or spec.evaluation.requests is None:
        return True
    hidden = set(get_args(Condition)) - set(spec.model.conditioning)
    return all(getattr(request, name) is None for request in spec.evaluation.requests for name in hidden)


def _processes_fit(spec: JobSpec) -> bool:
    gpus = spec.scheduling.resources.train.gpus
    return spec.training is None or gpus == 0 or spec.training.processes_per_node <= gpus


class JobSpec(SpecModel):
    """What to prepare, train, evaluate and publish."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.model) || !has(self.training)",
            lambda s: s.model is not None or s.training is None,
            "training needs a model; add 'model: {}' for the defaults, or leave both out to prepare data only",
            "training",
        ),
        Rule(
            "!has(self.training) || !has(self.training.strategy) || !has(self.model) || "
            "(self.training.strategy == 'finetune') == has(self.model.pretrained)",
            _strategy_fits,
            "finetune goes on from model.pretrained and full starts from nothing; give finetune together with "
            "model.pretrained, or leave strategy out",
            "training.strategy",
        ),
        Rule(
            "!has(self.model) || !has(self.dataset.modalities) || 'midi' in self.dataset.modalities",
            lambda s: s.model is None or s.dataset.modalities is None or "midi" in s.dataset.modalities,
            "the model family symbolic reads MIDI; add midi to the modalities",
            "dataset.modalities",
        ),
        Rule(
            "!has(self.model) || !has(self.evaluation.requests) || self.evaluation.requests.all(r, "
            + " && ".join(f"(!has(r.{name}) || '{name}' in self.model.conditioning)" for name in get_args(Condition))
            + ")",
            _requests_fit,
            "a request asks for something that is not in model.conditioning; add it there or leave it out here",
            "evaluation.requests",
        ),
        Rule(
            "!has(self.training) || self.scheduling.resources.train.gpus == 0 || "
            "self.training.processesPerNode <= self.scheduling.resources.train.gpus",
            _processes_fit,
            "each training process needs a GPU of its own; write at most as many as scheduling.resources.train.gpus",
            "training.processesPerNode",
        ),
    )
    EDITS: ClassVar[tuple[Edit, ...]] = tuple(
        Edit(
            unchanged(part),
            f"{part} is fixed once a job is created, since what is done so far was done with it; apply it as a job of "
            "another name, or delete this one first: its output and checkpoints stay",
            part,
        )
        for part in ("dataset", "model", "training", "checkpoint", "evaluation", "monitoring", "output")
    )

    dataset: Dataset
    model: Model | None = None
    """Without a model the job prepares the data and reports on it."""
    training: Training | None = None
    checkpoint: Checkpoint = Field(default_factory=Checkpoint)
    evaluation: Evaluation = Field(default_factory=Evaluation)
    monitoring: Monitoring = Field(default_factory=Monitoring)
    scheduling: Scheduling = Field(default_factory=Scheduling)
    output: Url
    """Where the model, the report and the figures go."""


class MusicTrainingJob(BaseModel):
    """Trains a music model from a folder of recordings or MIDI."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, use_attribute_docstrings=True)

    api_version: Literal["training.discomusica.io/v1alpha1"] = Field(alias="apiVersion", default=API_VERSION)
    kind: Literal["MusicTrainingJob"] = KIND
    metadata: Metadata
    spec: JobSpec
    status: dict[str, Any] | None = Field(default=None, exclude=True)
    """Written by the operator, ignored when a job is read."""
