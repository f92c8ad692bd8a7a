"""Jobs that cannot work, each with the sentence that its user is to read, and where.

Most are refused by the API server, so that ``kubectl apply`` fails and nothing is made. What depends on the cluster or
on the data is refused later, at once and for good, and its sentence is in the status.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

import yaml

from support.jobs import document

STORAGE = "s3://music"
"""Where these jobs read and write; a test that runs them puts a bucket of its own in its place."""

CHORALES: dict[str, Any] = {"importer": "bach-chorales", "midi": {"tokenizer": "grid"}}
REFERENCE = {"secretKeyRef": {"name": "keys", "key": "KEY"}}
CLAIM = {"persistentVolumeClaim": {"claimName": "music"}}


@dataclass(frozen=True)
class WrongJob:
    """A job that cannot work.

    Attributes:
        name: of what is wrong with it; its resource is named after it.
        text: the job as YAML.
        sentence: a part of what the user reads.
        where: ``apply``: the API server refuses it; ``status``: it is taken, and fails with the sentence in its status.
        stage: whose pods find out; empty where none are made.
    """

    name: str
    text: str
    sentence: str
    where: Literal["apply", "status"]
    stage: str = ""

    @property
    def resource(self) -> str:
        """The name of the resource."""
        return str(yaml.safe_load(self.text)["metadata"]["name"])

    def at(self, storage: str) -> str:
        """The job as YAML, with a storage of the caller's."""
        return self.text.replace(STORAGE, storage)


def _wrong(
    name: str, where: Literal["apply", "status"], spec: dict[str, Any], sentence: str, stage: str = ""
) -> WrongJob:
    written = document(**{"dataset": CHORALES, "output": f"{STORAGE}/out", **spec})
    written["metadata"]["name"] = "wrong-" + re.sub("[^a-z0-9]+", "-", name.lower())
    written["spec"] = {part: value for part, value in written["spec"].items() if value is not None}
    return WrongJob(name, yaml.safe_dump(written, sort_keys=False), sentence, where, stage)


def _trained(**training: Any) -> dict[str, Any]:
    return {"model": {}, "training": training}


def _scheduled(**scheduling: Any) -> dict[str, Any]:
    return {"model": {}, "scheduling": scheduling}


REFUSED_AT_APPLY: tuple[WrongJob, ...] = tuple(
    _wrong(name, "apply", spec, sentence)
    for name, spec, sentence in (
        ("no music", {"dataset": {}}, "give one of source, a folder or prefix of audio and MIDI, importer"),
        ("two kinds of music", {"dataset": {"source": "s3://a/b", **CHORALES}}, "give one of source"),
        ("no output", {"output": None}, "spec.output: Required value"),
        (
            "an unknown storage",
            {"output": "gs://music/out"},
            "no storage is known for this; write s3://bucket/prefix, file:///folder or a path",
        ),
        ("an unknown field", {"colour": "blue"}, 'unknown field "spec.colour"'),
        ("a field that is misspelt", _trained(stepz=5), 'unknown field "spec.training.stepz"'),
        ("a word for a number", _trained(steps="many"), "must be of type integer"),
        ("no steps", _trained(steps=0), "should be greater than or equal to 1"),
        ("an unknown precision", _trained(precision="fp61"), 'supported values: "auto", "fp32", "bf16", "fp16"'),
        ("an unknown family", {"model": {"family": "jukebox"}}, 'supported values: "symbolic"'),
        ("training of nothing", {"training": {}}, "training needs a model; add 'model: {}' for the defaults"),
        (
            "fine-tuning of nothing",
            _trained(strategy="finetune"),
            "every other strategy goes on from model.pretrained or model.from; give these together",
        ),
        (
            "two architectures",
            {"model": {"pretrained": "s3://a/b", "architecture": {}}},
            "give either pretrained or from, which bring their own architecture, or architecture",
        ),
        (
            "heads that do not share the width",
            {"model": {"architecture": {"width": 100, "heads": 6}}},
            "width must be an even multiple of heads, as 192 is of 3",
        ),
        (
            "a batch that nodes cannot share",
            _trained(nodes=2, batch={"size": 5}),
            "the size must be a multiple of accumulation times nodes times processesPerNode",
        ),
        (
            "fewer nodes at most than at least",
            _trained(nodes=2, minNodes=3),
            "minNodes, the fewest nodes that training goes on with, is more than nodes; write at most as many",
        ),
        (
            "a warm-up without end",
            _trained(steps=10, schedule={"warmupSteps": 10}),
            "warmupSteps must be less than steps; a twentieth of them is usual",
        ),
        (
            "a model of MIDI for recordings",
            {"model": {}, "dataset": {"source": "s3://a/b", "modalities": ["audio"]}},
            "the model family symbolic reads MIDI and the others read audio; add midi or audio to the modalities",
        ),
        (
            "more than the whole",
            {"dataset": {**CHORALES, "split": {"train": 0.9}}},
            "train, validation and test must add up to 1, as 0.8, 0.1 and 0.1 do",
        ),
        (
            "a piece that the model does not hear",
            {"model": {"conditioning": []}, "evaluation": {"requests": [{"key": "Cmaj"}]}},
            "a request asks for something that is not in model.conditioning; add it there or leave it out here",
        ),
        (
            "a key that is none",
            {"model": {}, "evaluation": {"requests": [{"key": "C major"}]}},
            "write a tonic and maj or min, such as Cmaj or F#min",
        ),
        (
            "weights that are not divided",
            _trained(engine="deepspeed", deepspeed={"offload": "all"}),
            "write zeroStage: 3, or offload: optimizer",
        ),
        (
            "more processes than GPUs",
            _trained(processesPerNode=4) | {"scheduling": {"resources": {"train": {"gpus": 2}}}},
            "each training process needs a GPU of its own; write at most as many as scheduling.resources.train.gpus",
        ),
        (
            "memory as shops sell it",
            _scheduled(resources={"train": {"memory": "16GB"}}),
            "write an amount as Kubernetes does, such as 4, 500m or 16Gi",
        ),
        (
            "a volume over the pods own folders",
            _scheduled(podTemplate={"volumes": [{"name": "a", "mountPath": "/tmp/a", **CLAIM}]}),
            "this folder is the pod's own; write another, such as /music",
        ),
        (
            "a secret in plain text and by reference",
            _scheduled(podTemplate={"env": [{"name": "KEY", "value": "a", "valueFrom": REFERENCE}]}),
            "give either value or valueFrom; a secret only by valueFrom",
        ),
        (
            "a toleration of nothing",
            _scheduled(tolerations=[{"effect": "NoSchedule"}]),
            "a toleration without a key is for every taint; write operator: Exists, or the key",
        ),
    )
)

FAILED_AT_ONCE: tuple[WrongJob, ...] = (
    _wrong(
        "music beside the file",
        "status",
        {"dataset": {"source": "./music"}},
        "spec.dataset.source: ./music is relative to a working directory, which pods do not share; write s3://bucket",
    ),
    _wrong(
        "output on a pods own disk",
        "status",
        {"output": "/out"},
        "spec.output: /out lies on no volume that outlives a pod; write s3://bucket/prefix, or mount",
    ),
    _wrong(
        "output in the source",
        "status",
        {"dataset": {"source": f"{STORAGE}/raw"}, "output": f"{STORAGE}/raw/out"},
        "lies in dataset.source, so the next run would take what is written there for music; name a place outside",
    ),
    _wrong(
        "an empty source",
        "status",
        {"dataset": {"source": f"{STORAGE}/nothing-here"}},
        "there is nothing at s3://",
        stage="prepare",
    ),
    _wrong(
        "an unknown metadata field",
        "status",
        {"dataset": {**CHORALES, "modalities": ["midi"], "split": {"keepTogether": ["orchestra"]}}},
        "no track has the metadata field 'orchestra'; write some of",
        stage="prepare",
    ),
    _wrong(
        "half precision without a GPU",
        "status",
        _trained(precision="fp16", steps=2),
        "spec.training.precision: fp16 needs a GPU; write auto, bf16 or fp32",
        stage="train",
    ),
    _wrong(
        "a model that is not there",
        "status",
        {"model": {"pretrained": f"{STORAGE}/no-model-here"}, "training": {"steps": 2}},
        "there is no published model here; name a folder with model.safetensors",
        stage="train",
    ),
)
