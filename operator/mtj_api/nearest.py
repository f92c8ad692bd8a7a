"""For a field that does not exist: the one that the user most likely means."""

from __future__ import annotations

import difflib

from pydantic.alias_generators import to_camel

from mtj_api import walk
from mtj_api.document import Location, dotted
from mtj_api.spec import MusicTrainingJob

SYNONYMS: dict[str, str] = {
    "lr": "spec.training.optimizer.learningRate",
    "gradClip": "spec.training.optimizer.gradientClip",
    "maxGradNorm": "spec.training.optimizer.gradientClip",
    "scheduler": "spec.training.schedule",
    "warmup": "spec.training.schedule.warmupSteps",
    "batchSize": "spec.training.batch.size",
    "gradientAccumulation": "spec.training.batch.accumulation",
    "gradientAccumulationSteps": "spec.training.batch.accumulation",
    "ema": "spec.training.regularization.weightAveraging",
    "epochs": "spec.training.steps",
    "numEpochs": "spec.training.steps",
    "maxSteps": "spec.training.steps",
    "gradientCheckpointing": "spec.training.activationCheckpointing",
    "mixedPrecision": "spec.training.precision",
    "dtype": "spec.training.precision",
    "gpus": "spec.training.processesPerNode",
    "numProcesses": "spec.training.processesPerNode",
    "numLayers": "spec.model.architecture.layers",
    "hiddenSize": "spec.model.architecture.width",
    "embeddingSize": "spec.model.architecture.width",
    "numHeads": "spec.model.architecture.heads",
    "sequenceLength": "spec.model.architecture.context",
    "vocabulary": "spec.dataset.midi.tokenizer",
    "prompts": "spec.evaluation.requests",
    "numWorkers": "spec.dataset.workers.count",
    "checkpoint.path": "spec.checkpoint.url",
    "dataset.path": "spec.dataset.source",
    "dataset.url": "spec.dataset.source",
    "saveSteps": "spec.checkpoint.everySteps",
    "evalSteps": "spec.evaluation.everySteps",
    "outputDir": "spec.output",
    "transpose": "spec.dataset.augmentation.transposeSemitones",
    "numNodes": "spec.training.nodes",
    "nnodes": "spec.training.nodes",
    "replicas": "spec.training.nodes",
    "parallelism": "spec.training.nodes",
    "maxNodes": "spec.training.nodes",
    "elastic": "spec.training.minNodes",
    "minReplicas": "spec.training.minNodes",
    "numProcPerNode": "spec.training.processesPerNode",
    "nprocPerNode": "spec.training.processesPerNode",
    "backend": "spec.training.engine",
    "fsdp": "spec.training.engine",
    "fsdp2": "spec.training.engine",
    "zero": "spec.training.deepspeed.zeroStage",
    "stage": "spec.training.deepspeed.zeroStage",
    "zeroOptimization": "spec.training.deepspeed.zeroStage",
    "offloadOptimizer": "spec.training.deepspeed.offload",
    "offloadParam": "spec.training.deepspeed.offload",
    "workers.replicas": "spec.dataset.workers.nodes",
    "paused": "spec.scheduling.suspend",
    "activeDeadlineSeconds": "spec.scheduling.deadlineSeconds",
    "timeoutSeconds": "spec.scheduling.deadlineSeconds",
    "ttl": "spec.scheduling.ttlSecondsAfterFinished",
    "backoffLimit": "spec.scheduling.retries",
    "restartPolicy": "spec.scheduling.retries",
    "maxRestarts": "spec.scheduling.retries",
    "priority": "spec.scheduling.priorityClassName",
    "queueName": "spec.scheduling.queue",
    "envFrom": "spec.scheduling.storageSecret",
    "secretName": "spec.scheduling.storageSecret",
    "credentials": "spec.scheduling.storageSecret",
    "serviceAccount": "spec.scheduling.podTemplate.serviceAccountName",
    "volumeMounts": "spec.scheduling.podTemplate.volumes",
    "scheduling.gpus": "spec.scheduling.resources.train.gpus",
    "resources.gpus": "spec.scheduling.resources.train.gpus",
    "scheduling.cpu": "spec.scheduling.resources.train.cpu",
    "resources.cpu": "spec.scheduling.resources.train.cpu",
    "scheduling.memory": "spec.scheduling.resources.train.memory",
    "resources.memory": "spec.scheduling.resources.train.memory",
    "resources.limits": "spec.scheduling.resources.train",
    "resources.requests": "spec.scheduling.resources.train",
    "limits": "spec.scheduling.resources.train",
}
"""What other tools call a field, alone or with the field around it, and our name for it."""

_FIELDS = tuple(walk.fields_of(MusicTrainingJob))


def field_at(location: Location) -> walk.SpecField | None:
    """The field that a location in a job leads to, if there is one."""
    shape = tuple("[]" if isinstance(part, int) else part for part in location)
    return next((field for field in _FIELDS if field.path == shape), None)


def fields_in(location: Location) -> list[walk.SpecField]:
    """The fields directly in the group that a location leads to."""
    shape = tuple("[]" if isinstance(part, int) else str(part) for part in location)
    return [field for field in _FIELDS if field.path[:-1] == shape]


def instead_of(location: Location) -> str:
    """What to write instead of an unknown field, as part of a sentence."""
    name, around = to_camel(str(location[-1])), location[:-1]
    siblings = [field.path[-1] for field in fields_in(around)]
    if name in siblings:
        return f"did you mean {name}?"
    for known in (f"{around[-1]}.{name}" if around else "", name):
        if known in SYNONYMS:
            return f"did you mean {SYNONYMS[known]}?"
    namesakes = [_name(field.path) for field in _FIELDS if field.path[-1] == name and field.path[0] == "spec"]
    if namesakes:
        return f"did you mean {' or '.join(namesakes[:3])}?"
    elsewhere = {field.path[-1]: _name(field.path) for field in reversed(_FIELDS) if field.path[0] == "spec"}
    here = {sibling: sibling for sibling in siblings}
    for known_names, cutoff in ((here, 0.85), (elsewhere, 0.85), (here, 0.6), (elsewhere, 0.75)):
        near = difflib.get_close_matches(name, known_names, n=1, cutoff=cutoff)
        if near:
            return f"did you mean {known_names[near[0]]}?"
    return f"the fields here are {', '.join(siblings)}"


def _name(path: tuple[str, ...]) -> str:
    return dotted(path).replace(".[]", "[]")
