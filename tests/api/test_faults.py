"""The sentence that each wrong part of a job gets: what, where, and what to write instead."""

from __future__ import annotations

import json
import re

import pytest

from mtj_api import InvalidJob, MusicTrainingJob, parse_job, walk
from mtj_api.document import dotted
from mtj_api.faults import EXAMPLES, FORMS
from mtj_api.nearest import SYNONYMS
from support.jobs import SMALLEST, WITH_MODEL, refusal

PARTS = {
    "no output": (
        SMALLEST.replace("  output: ./out\n", ""),
        "job.yaml:4: spec.output: this field is missing; add 'output: ./out' or 'output: s3://music/models/chorales'",
    ),
    "an empty output": (
        SMALLEST.replace("./out", "''"),
        "job.yaml:6: spec.output: the text is empty; write 'output: ./out' or 'output: s3://music/models/chorales'",
    ),
    "another storage": (
        SMALLEST.replace("./out", "gs://bucket/models"),
        "job.yaml:6: spec.output: no storage is known for this; write s3://bucket/prefix, file:///folder or a path",
    ),
    "S3 with one slash": (
        SMALLEST.replace("./out", "s3:/bucket"),
        "job.yaml:6: spec.output: no storage is known for this; write s3://bucket/prefix, file:///folder or a path",
    ),
    "neither source nor importer": (
        SMALLEST.replace("{source: ./music}", "{}"),
        (
            "job.yaml:5: spec.dataset: give one of source, a folder or prefix of audio and MIDI, importer, "
            "such as bach-chorales, or from, another job's data"
        ),
    ),
    "both source and importer": (
        SMALLEST.replace("{source: ./music}", "{source: ./music, importer: bach-chorales}"),
        (
            "job.yaml:5: spec.dataset: give one of source, a folder or prefix of audio and MIDI, importer, "
            "such as bach-chorales, or from, another job's data"
        ),
    ),
    "an unknown importer": (
        SMALLEST.replace("{source: ./music}", "{importer: mozart}"),
        'job.yaml:5: spec.dataset.importer: "mozart" is not a choice here; write bach-chorales',
    ),
    "a modality twice": (
        SMALLEST.replace("{source: ./music}", "{source: ./music, modalities: [midi, midi]}"),
        "job.yaml:5: spec.dataset.modalities: midi is there twice; keep one",
    ),
    "no modality": (
        SMALLEST.replace("{source: ./music}", "{source: ./music, modalities: []}"),
        "job.yaml:5: spec.dataset.modalities: the list is empty; write at least 1 in it",
    ),
    "a bit depth that is no choice": (
        SMALLEST.replace("{source: ./music}", "{source: ./music, audio: {bitDepth: 32}}"),
        "job.yaml:5: spec.dataset.audio.bitDepth: 32 is not a choice here; write 16 or 24",
    ),
    "parts that make more than the whole": (
        SMALLEST.replace("{source: ./music}", "{source: ./music, split: {train: 0.9}}"),
        "job.yaml:5: spec.dataset.split: train, validation and test must add up to 1, as 0.8, 0.1 and 0.1 do",
    ),
    "segments that are shorter than they are long": (
        SMALLEST.replace("{source: ./music}", "{source: ./music, audio: {segment: {minSeconds: 40}}}"),
        "job.yaml:5: spec.dataset.audio.segment.minSeconds: minSeconds must not exceed maxSeconds",
    ),
    "a model without content": (
        SMALLEST + "  model:",
        "job.yaml:7: spec.model: nothing is written here; write 'model: {}' for its defaults, or remove it",
    ),
    "a value without content": (
        WITH_MODEL + "  training:\n    steps:",
        "job.yaml:9: spec.training.steps: nothing is written here; write a value, or remove it",
    ),
    "a model that is a word": (
        SMALLEST + "  model: symbolic",
        (
            'job.yaml:7: spec.model: "symbolic" is not a group of fields; '
            "write fields in it, such as family, pretrained or from"
        ),
    ),
    "an unknown family": (
        SMALLEST + "  model: {family: jukebox}",
        'job.yaml:7: spec.model.family: "jukebox" is not a choice here; write symbolic, codec, musicgen or audiogen',
    ),
    "heads that do not share the width": (
        SMALLEST + "  model:\n    architecture:\n      width: 100\n      heads: 6",
        "job.yaml:9: spec.model.architecture.width: width must be an even multiple of heads, as 192 is of 3",
    ),
    "pretrained and architecture": (
        SMALLEST + "  model: {pretrained: ./m, architecture: {layers: 2}}",
        (
            "job.yaml:7: spec.model.architecture: give either pretrained or from, which bring their own "
            "architecture, or architecture"
        ),
    ),
    "training without a model": (
        SMALLEST + "  training: {steps: 5}",
        (
            "job.yaml:7: spec.training: training needs a model; add 'model: {}' for the defaults, "
            "or leave both out to prepare data only"
        ),
    ),
    "fine-tuning of nothing": (
        WITH_MODEL + "  training: {strategy: finetune}",
        (
            "job.yaml:8: spec.training.strategy: full starts from nothing and every other strategy goes on from "
            "model.pretrained or model.from; give these together, or leave strategy out"
        ),
    ),
    "a model of MIDI for recordings": (
        WITH_MODEL.replace("{source: ./music}", "{source: ./music, modalities: [audio]}"),
        (
            "job.yaml:5: spec.dataset.modalities: the model family symbolic reads MIDI and the others read audio; "
            "add midi or audio to the modalities"
        ),
    ),
    "a word for a number": (
        WITH_MODEL + "  training: {steps: many}",
        'job.yaml:8: spec.training.steps: "many" is not a whole number; write a whole number, such as 2000',
    ),
    "a number in quotes": (
        WITH_MODEL + "  training: {steps: '100'}",
        'job.yaml:8: spec.training.steps: "100" is text; write 100 without quotes',
    ),
    "half a step": (
        WITH_MODEL + "  training: {steps: 0.5}",
        "job.yaml:8: spec.training.steps: 0.5 is not a whole number; write a whole number, such as 2000",
    ),
    "no steps": (
        WITH_MODEL + "  training: {steps: 0}",
        "job.yaml:8: spec.training.steps: 0 is too small; write at least 1",
    ),
    "a learning rate of nothing": (
        WITH_MODEL + "  training: {optimizer: {learningRate: 0}}",
        "job.yaml:8: spec.training.optimizer.learningRate: 0 is too small; write more than 0",
    ),
    "a learning rate that is infinite": (
        WITH_MODEL + "  training: {optimizer: {learningRate: .inf}}",
        "job.yaml:8: spec.training.optimizer.learningRate: Infinity is too large; write at most 1",
    ),
    "a learning rate that is no number": (
        WITH_MODEL + "  training: {optimizer: {learningRate: .nan}}",
        "job.yaml:8: spec.training.optimizer.learningRate: NaN is too large; write at most 1",
    ),
    "all dropped out": (
        WITH_MODEL + "  training: {regularization: {dropout: 1}}",
        "job.yaml:8: spec.training.regularization.dropout: 1 is too large; write less than 1",
    ),
    "a precision that is misspelt": (
        WITH_MODEL + "  training: {precision: fp61}",
        (
            'job.yaml:8: spec.training.precision: "fp61" is not a choice here; '
            "write auto, fp32, bf16 or fp16 (did you mean fp16?)"
        ),
    ),
    "a batch that cannot be shared": (
        WITH_MODEL + "  training: {batch: {size: 5}, processesPerNode: 2}",
        (
            "job.yaml:8: spec.training.batch.size: the size must be a multiple of accumulation times nodes times "
            "processesPerNode, so that every pass of every process has the same number of sequences"
        ),
    ),
    "a range of nodes": (
        WITH_MODEL + "  training: {nodes: {min: 1, max: 4}}",
        ("job.yaml:8: spec.training.nodes: this is a range, and a whole number is due; write nodes: 4 and minNodes: 1"),
    ),
    "a warm-up without end": (
        WITH_MODEL + "  training: {steps: 10, schedule: {warmupSteps: 10}}",
        (
            "job.yaml:8: spec.training.schedule.warmupSteps: warmupSteps must be less than steps; "
            "a twentieth of them is usual"
        ),
    ),
    "yes for true": (
        WITH_MODEL + "  monitoring: {tensorboard: 1}",
        "job.yaml:8: spec.monitoring.tensorboard: 1 is neither true nor false; write true or false",
    ),
    "a key that is none": (
        WITH_MODEL + "  evaluation:\n    requests:\n      - key: C major",
        (
            'job.yaml:10: spec.evaluation.requests[0].key: "C major" has the wrong form; '
            "write a tonic and maj or min, such as Cmaj or F#min"
        ),
    ),
    "a metre that is none": (
        WITH_MODEL + "  evaluation: {requests: [{metre: 4/5}]}",
        (
            'job.yaml:8: spec.evaluation.requests[0].metre: "4/5" has the wrong form; '
            "write beats and unit, such as 4/4 or 6/8"
        ),
    ),
    "one request for a list": (
        WITH_MODEL + "  evaluation: {requests: {key: Cmaj}}",
        'job.yaml:8: spec.evaluation.requests: {"key": "Cmaj"} is not a list; write a list',
    ),
    "one word for a list": (
        SMALLEST + "  model: {conditioning: key}",
        'job.yaml:7: spec.model.conditioning: "key" is not a list; write [key]',
    ),
    "too many in a list": (
        SMALLEST + "  model: {conditioning: [key, key, key, key, key, key, key]}",
        "job.yaml:7: spec.model.conditioning: the list has 7 items; write at most 6",
    ),
    "a request that the model does not hear": (
        SMALLEST + "  model: {conditioning: [metre]}\n  evaluation:\n    requests: [{key: Cmaj}]",
        (
            "job.yaml:9: spec.evaluation.requests: a request asks for something that is not in model.conditioning; "
            "add it there or leave it out here"
        ),
    ),
    "an unknown field": (
        SMALLEST + "  colour: blue",
        (
            "job.yaml:7: spec.colour: there is no such field; "
            "the fields here are dataset, model, training, checkpoint, evaluation, monitoring, scheduling, output"
        ),
    ),
    "a field that is misspelt": (
        WITH_MODEL + "  training: {optimiser: {}}",
        "job.yaml:8: spec.training.optimiser: there is no such field; did you mean optimizer?",
    ),
    "a field in Python's spelling": (
        WITH_MODEL + "  training: {processes_per_node: 2}",
        "job.yaml:8: spec.training.processes_per_node: there is no such field; did you mean processesPerNode?",
    ),
    "another tool's name": (
        WITH_MODEL + "  training: {lr: 0.1}",
        "job.yaml:8: spec.training.lr: there is no such field; did you mean spec.training.optimizer.learningRate?",
    ),
    "a field one level too high": (
        SMALLEST + "  pretrained: ./m",
        "job.yaml:7: spec.pretrained: there is no such field; did you mean spec.model.pretrained?",
    ),
    "a field that is misspelt, and one level too high": (
        SMALLEST + "  conditionning: [key]",
        "job.yaml:7: spec.conditionning: there is no such field; did you mean spec.model.conditioning?",
    ),
    "a name that several have": (
        SMALLEST + "  seed: 1",
        (
            "job.yaml:7: spec.seed: there is no such field; "
            "did you mean spec.dataset.split.seed or spec.training.seed or spec.evaluation.seed?"
        ),
    ),
    "a number for a field": (
        SMALLEST + "  1: one",
        "job.yaml:7: spec.1: 1 is not a name; write the name of a field",
    ),
    "an unknown field at the top": (
        SMALLEST + "sepc: {}",
        "job.yaml:7: sepc: there is no such field; did you mean spec?",
    ),
    "a list for a text": (
        SMALLEST.replace("./out", "[a]"),
        "job.yaml:6: spec.output: [\"a\"] is not text; write 'output: ./out' or 'output: s3://music/models/chorales'",
    ),
    "a word for a rate": (
        WITH_MODEL + "  training: {optimizer: {beta1: high}}",
        'job.yaml:8: spec.training.optimizer.beta1: "high" is not a number; write a number, such as 0.9',
    ),
    "offload without a division": (
        WITH_MODEL + "  training: {engine: deepspeed, deepspeed: {offload: all}}",
        (
            "job.yaml:8: spec.training.deepspeed.offload: offload: all moves the weights, which only zeroStage 3 "
            "divides; write zeroStage: 3, or offload: optimizer"
        ),
    ),
    "the settings of DeepSpeed's own file": (
        WITH_MODEL + "  training: {zeroOptimization: {stage: 2}}",
        (
            "job.yaml:8: spec.training.zeroOptimization: there is no such field; "
            "did you mean spec.training.deepspeed.zeroStage?"
        ),
    ),
    "more processes than GPUs": (
        WITH_MODEL + "  training: {processesPerNode: 4}\n  scheduling: {resources: {train: {gpus: 2}}}",
        (
            "job.yaml:8: spec.training.processesPerNode: each training process needs a GPU of its own; "
            "write at most as many as scheduling.resources.train.gpus"
        ),
    ),
    "memory in the spelling of shops": (
        SMALLEST + "  scheduling: {resources: {train: {memory: 16GB}}}",
        (
            'job.yaml:7: spec.scheduling.resources.train.memory: "16GB" has the wrong form; '
            "write an amount as Kubernetes does, such as 4, 500m or 16Gi"
        ),
    ),
    "half a core as a number": (
        SMALLEST + "  scheduling: {resources: {train: {cpu: 0.5}}}",
        "job.yaml:7: spec.scheduling.resources.train.cpu: 0.5 is not text; write it in quotes: '0.5'",
    ),
    "resources as a pod has them": (
        SMALLEST + "  scheduling: {resources: {limits: {memory: 16Gi}}}",
        (
            "job.yaml:7: spec.scheduling.resources.limits: there is no such field; "
            "did you mean spec.scheduling.resources.train?"
        ),
    ),
    "GPUs one level too high": (
        SMALLEST + "  scheduling: {gpus: 2}",
        (
            "job.yaml:7: spec.scheduling.gpus: there is no such field; "
            "did you mean spec.scheduling.resources.train.gpus?"
        ),
    ),
    "a device without a domain": (
        SMALLEST + "  scheduling: {gpuResource: gpu}",
        (
            'job.yaml:7: spec.scheduling.gpuResource: "gpu" has the wrong form; '
            "write a domain, '/' and a name, such as nvidia.com/gpu"
        ),
    ),
    "a truth for a label": (
        SMALLEST + "  scheduling:\n    nodeSelector:\n      gpu: true",
        "job.yaml:9: spec.scheduling.nodeSelector.gpu: true is not text; write it in quotes: 'true'",
    ),
    "a number for the key of a label": (
        SMALLEST + "  scheduling: {nodeSelector: {1: a}}",
        "job.yaml:7: spec.scheduling.nodeSelector.1: 1 is not text; write it in quotes: '1'",
    ),
    "a key of a label that is none": (
        SMALLEST + "  scheduling: {nodeSelector: {gpu pool: a}}",
        (
            "job.yaml:7: spec.scheduling.nodeSelector: a key has the wrong form; write letters, digits, '-', '_' and "
            "'.', perhaps after a domain and '/', such as example.com/pool"
        ),
    ),
    "a list for a map": (
        SMALLEST + "  scheduling: {nodeSelector: [gpu]}",
        ('job.yaml:7: spec.scheduling.nodeSelector: ["gpu"] is not a group of keys and values; write {key: value}'),
    ),
    "too many in a map": (
        SMALLEST + f"  scheduling: {{nodeSelector: {{{', '.join(f'a{n}: b' for n in range(33))}}}}}",
        "job.yaml:7: spec.scheduling.nodeSelector: the map has 33 items; write at most 32",
    ),
    "a secret in plain text and by reference": (
        SMALLEST + "  scheduling:\n    podTemplate:\n      env:\n        - {name: KEY, value: a, valueFrom: {}}",
        ("job.yaml:10: spec.scheduling.podTemplate.env[0].valueFrom: give either secretKeyRef or configMapKeyRef"),
    ),
    "a volume as a pod has it": (
        SMALLEST
        + "  scheduling: {podTemplate: {volumes: [{name: keys, mountPath: /keys, secret: {secretName: keys}}]}}",
        (
            'job.yaml:7: spec.scheduling.podTemplate.volumes[0].secret: {"secretName": "keys"} is not text; '
            "write the name of a Secret"
        ),
    ),
    "a volume over the pod's own folders": (
        SMALLEST + "  scheduling: {podTemplate: {volumes: [{name: a, mountPath: /tmp/a, secret: a}]}}",
        (
            "job.yaml:7: spec.scheduling.podTemplate.volumes[0].mountPath: this folder is the pod's own; "
            "write another, such as /music"
        ),
    ),
    "two volumes of one name": (
        SMALLEST
        + "  scheduling: {podTemplate: {volumes: "
        + "[{name: a, mountPath: /a, secret: a}, {name: a, mountPath: /b, secret: b}]}}",
        "job.yaml:7: spec.scheduling.podTemplate.volumes: a is there twice; keep one",
    ),
}


@pytest.mark.parametrize(("text", "sentence"), PARTS.values(), ids=PARTS)
def test_a_wrong_part_is_told_what_where_and_what_instead(text: str, sentence: str) -> None:
    assert refusal(text) == sentence


def test_every_fault_of_a_job_is_told_at_once() -> None:
    with pytest.raises(InvalidJob) as refused:
        parse_job(WITH_MODEL + "  training: {steps: 0, precision: fp64}\n  evaluation:", "job.yaml")
    assert str(refused.value).splitlines() == [
        "job.yaml:9: spec.evaluation: nothing is written here; write 'evaluation: {}' for its defaults, or remove it",
        (
            'job.yaml:8: spec.training.precision: "fp64" is not a choice here; '
            "write auto, fp32, bf16 or fp16 (did you mean fp16?)"
        ),
        "job.yaml:8: spec.training.steps: 0 is too small; write at least 1",
    ]


def test_every_pattern_has_words_for_what_it_wants() -> None:
    patterns = set(re.findall(r'"pattern": "([^"]*)"', json.dumps(MusicTrainingJob.model_json_schema())))
    assert {json.loads(f'"{pattern}"') for pattern in patterns} == set(FORMS)


@pytest.mark.parametrize("field", sorted({*SYNONYMS.values(), *EXAMPLES}))
def test_every_field_that_a_sentence_names_is_there(field: str) -> None:
    known = {dotted(found.path).replace(".[]", "[]") for found in walk.fields_of(MusicTrainingJob)}
    assert field.removesuffix("[]") in known
