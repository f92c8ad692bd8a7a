"""The resource itself."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from mtj_api.contract import API_VERSION, KIND
from mtj_api.spec.base import Edit, Rule, SpecModel, Url, unchanged
from mtj_api.spec.checkpoint import Checkpoint
from mtj_api.spec.dataset import Dataset
from mtj_api.spec.evaluation import Evaluation
from mtj_api.spec.model import AUDIO_FAMILIES, MUSICGEN_FAMILIES, Model, MusicalCondition
from mtj_api.spec.monitoring import Monitoring
from mtj_api.spec.reference import Name
from mtj_api.spec.scheduling import Scheduling
from mtj_api.spec.training import Training


class Metadata(BaseModel):
    """The part of Kubernetes' ObjectMeta that matters here; the rest is Kubernetes' own."""

    model_config = ConfigDict(extra="allow")

    name: Name


def _strategy_fits(spec: JobSpec) -> bool:
    if spec.training is None or spec.training.strategy is None or spec.model is None:
        return True
    return (spec.training.strategy == "full") != spec.model.is_started


def _requests_fit(spec: JobSpec) -> bool:
    if spec.model is None or spec.evaluation.requests is None:
        return True
    if spec.model.conditioning is None:
        return True
    hidden = set(get_args(MusicalCondition)) - set(spec.model.conditioning)
    return all(getattr(request, name) is None for request in spec.evaluation.requests for name in hidden)


def _modalities_fit(spec: JobSpec) -> bool:
    if spec.model is None or spec.dataset.modalities is None:
        return True
    return ("audio" if spec.model.family in AUDIO_FAMILIES else "midi") in spec.dataset.modalities


def _adaptation_fits(spec: JobSpec) -> bool:
    if spec.training is None or spec.model is None or spec.training.strategy in (None, "full", "finetune"):
        return True
    return spec.model.family in MUSICGEN_FAMILIES


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
            "(self.training.strategy == 'full') != (has(self.model.pretrained) || has(self.model.from))",
            _strategy_fits,
            "full starts from nothing and every other strategy goes on from model.pretrained or model.from; give these "
            "together, or leave strategy out",
            "training.strategy",
        ),
        Rule(
            "!has(self.training) || !has(self.training.strategy) || !has(self.model) || "
            "self.training.strategy in ['full', 'finetune'] || self.model.family in ['musicgen', 'audiogen']",
            _adaptation_fits,
            "this strategy adapts a musicgen or audiogen model; write finetune for the other families",
            "training.strategy",
        ),
        Rule(
            "!has(self.model) || !has(self.dataset.modalities) || "
            "(self.model.family == 'symbolic' ? 'midi' : 'audio') in self.dataset.modalities",
            _modalities_fit,
            "the model family symbolic reads MIDI and the others read audio; add midi or audio to the modalities",
            "dataset.modalities",
        ),
        Rule(
            "!has(self.model) || !has(self.model.conditioning) || !has(self.evaluation.requests) || "
            "self.evaluation.requests.all(r, "
            + " && ".join(
                f"(!has(r.{name}) || '{name}' in self.model.conditioning)" for name in get_args(MusicalCondition)
            )
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
