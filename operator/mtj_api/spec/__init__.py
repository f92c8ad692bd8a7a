"""The MusicTrainingJob resource as pydantic models, one file a part of the spec.

A field exists only when something acts on it. A field made by ``derived`` has no fixed default: its value
follows from others, and ``mtj_api.resolve`` fills it in with the reason.
"""

from mtj_api.spec.base import SpecModel
from mtj_api.spec.checkpoint import Checkpoint
from mtj_api.spec.dataset import (
    AudioPreparation,
    Augmentation,
    Dataset,
    MidiPreparation,
    Segmentation,
    Split,
    Workers,
)
from mtj_api.spec.evaluation import CompositionRequest, Evaluation, Sampling
from mtj_api.spec.job import JobSpec, Metadata, MusicTrainingJob
from mtj_api.spec.model import Architecture, CodecArchitecture, CodecSource, Model
from mtj_api.spec.monitoring import Monitoring
from mtj_api.spec.reference import JobReference
from mtj_api.spec.scheduling import (
    IdleGpus,
    PodResources,
    PodTemplate,
    Retries,
    Scheduling,
    StageResources,
    Toleration,
    Volume,
)
from mtj_api.spec.training import (
    BadSteps,
    Batch,
    DeepSpeed,
    Losses,
    Optimizer,
    Peft,
    Regularization,
    Schedule,
    Selective,
    Training,
)

__all__ = [
    "Architecture",
    "AudioPreparation",
    "Augmentation",
    "BadSteps",
    "Batch",
    "Checkpoint",
    "CodecArchitecture",
    "CodecSource",
    "CompositionRequest",
    "Dataset",
    "DeepSpeed",
    "Evaluation",
    "IdleGpus",
    "JobReference",
    "JobSpec",
    "Losses",
    "Metadata",
    "MidiPreparation",
    "Model",
    "Monitoring",
    "MusicTrainingJob",
    "Optimizer",
    "Peft",
    "PodResources",
    "PodTemplate",
    "Regularization",
    "Retries",
    "Sampling",
    "Schedule",
    "Scheduling",
    "Segmentation",
    "Selective",
    "SpecModel",
    "Split",
    "StageResources",
    "Toleration",
    "Training",
    "Volume",
    "Workers",
]
