"""A case for each rule of the resource, so that Python and a real API server can be held to the same verdict."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mtj_api.crd import custom_resource_definition

Spec = dict[str, Any]


FORM = "this has the wrong form; "


@dataclass(frozen=True)
class WrittenRule:
    """A rule as the CustomResourceDefinition has it."""

    cel: str
    message: str


def rules_of_the_resource() -> list[WrittenRule]:
    """Every different rule over a single job, but those over the form of one text and the one over its name."""
    return [rule for rule in _rules() if "oldSelf" not in rule.cel and not rule.message.startswith(FORM)]


def forms_of_the_resource() -> list[WrittenRule]:
    """Every different rule over the form of one text."""
    return [rule for rule in _rules() if rule.message.startswith(FORM)]


def edits_of_the_resource() -> list[WrittenRule]:
    """Every different rule over what an edit may change."""
    return [rule for rule in _rules() if "oldSelf" in rule.cel]


def _rules() -> list[WrittenRule]:
    spec = custom_resource_definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return list(dict.fromkeys(_in(spec)))


def _in(schema: dict[str, Any]) -> Iterator[WrittenRule]:
    for rule in schema.get("x-kubernetes-validations", ()):
        yield WrittenRule(rule["rule"], rule["message"])
    inner = [schema[key] for key in ("items", "additionalProperties") if key in schema]
    for child in (*schema.get("properties", {}).values(), *inner):
        yield from _in(child)


def training(**values: Any) -> Spec:
    return {"model": {}, "training": values}


def model(**values: Any) -> Spec:
    return {"model": values}


def scheduling(**values: Any) -> Spec:
    return {"scheduling": values}


def pods(**values: Any) -> Spec:
    return scheduling(podTemplate=values)


def segment(**values: Any) -> Spec:
    return {"dataset": {"source": "m", "audio": {"segment": values}}}


CLAIM = {"persistentVolumeClaim": {"claimName": "music"}}
FROM_SECRET = {"secretKeyRef": {"name": "keys", "key": "a"}}

CASES: dict[str, tuple[Spec, Spec]] = {
    "self.minSeconds <= self.maxSeconds": (segment(minSeconds=31.0), segment(minSeconds=30.0)),
    "self.overlapSeconds < self.minSeconds": (segment(overlapSeconds=10.0), segment(overlapSeconds=9.9)),
    "self.train + self.validation + self.test": (
        {"dataset": {"source": "m", "split": {"train": 0.81}}},
        {"dataset": {"source": "m", "split": {"train": 0.7, "validation": 0.2}}},
    ),
    "[has(self.source), has(self.importer)": (
        {"dataset": {"source": "m", "importer": "bach-chorales"}},
        {"dataset": {"from": {"job": "other"}}},
    ),
    "has(self.url) != has(self.from)": (
        model(family="musicgen", codec={}),
        model(family="musicgen", codec={"url": "m"}),
    ),
    "self.startsWith('s3://')": ({"output": "gs://music/out"}, {"output": "file:///music/out"}),
    "self.width % (2 * self.heads) == 0": (
        {"model": {"architecture": {"width": 198, "heads": 6}}},
        {"model": {"architecture": {"width": 204, "heads": 6}}},
    ),
    "!(has(self.pretrained) && has(self.from))": (
        model(pretrained="m", **{"from": {"job": "other"}}),
        model(**{"from": {"job": "other"}}),
    ),
    "!((has(self.pretrained) || has(self.from)) && has(self.architecture))": (
        model(pretrained="m", architecture={}),
        model(pretrained="m"),
    ),
    "!has(self.codecArchitecture)": (
        model(family="codec", pretrained="m", codecArchitecture={}),
        model(family="codec", codecArchitecture={}),
    ),
    "!has(self.architecture) || self.family": (
        model(family="codec", architecture={}),
        model(family="musicgen", codec={"url": "m"}, architecture={}),
    ),
    "(has(self.codec) || has(self.pretrained)": (
        model(family="audiogen"),
        model(family="audiogen", pretrained="facebook/audiogen-medium"),
    ),
    "!has(self.codec)": (
        model(family="musicgen", codec={"url": "c"}, pretrained="m"),
        model(family="musicgen", codec={"url": "c"}),
    ),
    "!has(self.conditioning)": (
        model(family="musicgen", pretrained="m", conditioning=["text", "key"]),
        model(family="musicgen", pretrained="m", conditioning=["text", "melody"]),
    ),
    "self.waveform + self.stft": (
        training(losses={"waveform": 0.0, "stft": 0.0, "mel": 0.0}),
        training(losses={"waveform": 0.0, "stft": 0.0}),
    ),
    "!has(self.strategy) || !self.peft.merge": (
        model(family="musicgen", pretrained="m") | {"training": {"strategy": "prompt", "peft": {"merge": True}}},
        model(family="musicgen", pretrained="m") | {"training": {"strategy": "dora", "peft": {"merge": True}}},
    ),
    "!self.peft.merge || self.engine != 'fsdp'": (
        model(family="musicgen", pretrained="m")
        | {"training": {"strategy": "lora", "peft": {"merge": True}, "engine": "fsdp"}},
        model(family="musicgen", pretrained="m") | {"training": {"strategy": "lora", "engine": "fsdp"}},
    ),
    "self.engine == 'torchrun' || self.precision": (
        training(engine="fsdp", precision="fp16"),
        training(engine="torchrun", precision="fp16"),
    ),
    "!self.peft.merge || self.engine != 'deepspeed'": (
        model(family="musicgen", pretrained="m")
        | {
            "training": {
                "strategy": "lora",
                "peft": {"merge": True},
                "engine": "deepspeed",
                "deepspeed": {"zeroStage": 3},
            }
        },
        model(family="musicgen", pretrained="m")
        | {"training": {"strategy": "lora", "peft": {"merge": True}, "engine": "deepspeed"}},
    ),
    "!has(self.strategy) || self.strategy != 'selective'": (
        model(family="musicgen", pretrained="m") | {"training": {"strategy": "selective"}},
        model(family="musicgen", pretrained="m")
        | {"training": {"strategy": "selective", "selective": {"norms": True}}},
    ),
    "self.offload != 'all'": (
        training(deepspeed={"offload": "all"}),
        training(deepspeed={"offload": "all", "zeroStage": 3}),
    ),
    "self.offload != 'optimizer'": (
        training(deepspeed={"offload": "optimizer", "zeroStage": 0}),
        training(deepspeed={"offload": "optimizer", "zeroStage": 1}),
    ),
    "!has(self.batch.size)": (
        training(batch={"size": 12, "accumulation": 2}, processesPerNode=2, nodes=2),
        training(batch={"size": 16, "accumulation": 2}, processesPerNode=2, nodes=2),
    ),
    "!has(self.minNodes)": (
        training(nodes=2, minNodes=3),
        training(nodes=2, minNodes=2),
    ),
    "!has(self.schedule.warmupSteps)": (
        training(steps=5, schedule={"warmupSteps": 5}),
        training(steps=5, schedule={"warmupSteps": 4}),
    ),
    "has(self.model) || !has(self.training)": ({"training": {}}, {"training": {}, "model": {}}),
    "!has(self.training) || !has(self.training.strategy) || !has(self.model) || self.training.strategy in": (
        {"model": {"pretrained": "m"}, "training": {"strategy": "lora"}},
        model(family="musicgen", pretrained="m") | {"training": {"strategy": "lora"}},
    ),
    "!has(self.training) || !has(self.training.strategy) || !has(self.model) || (self.training.strategy ==": (
        {"model": {"pretrained": "m"}, "training": {"strategy": "full"}},
        {"model": {"pretrained": "m"}, "training": {"strategy": "finetune"}},
    ),
    "!has(self.model) || !has(self.dataset.modalities)": (
        {"model": {}, "dataset": {"source": "m", "modalities": ["audio"]}},
        {"model": {}, "dataset": {"source": "m", "modalities": ["audio", "midi"]}},
    ),
    "!has(self.model) || !has(self.model.conditioning) || !has(self.evaluation.requests)": (
        {"model": {"conditioning": ["key"]}, "evaluation": {"requests": [{"key": "Cmaj"}, {"tempo": 90}]}},
        {"model": {"conditioning": ["key"]}, "evaluation": {"requests": [{"key": "Cmaj"}, {}]}},
    ),
    "!has(self.training) || self.scheduling.resources": (
        training(processesPerNode=3) | scheduling(resources={"train": {"gpus": 2}}),
        training(processesPerNode=2) | scheduling(resources={"train": {"gpus": 2}}),
    ),
    "has(self.key) || self.operator": (
        scheduling(tolerations=[{"effect": "NoSchedule"}]),
        scheduling(tolerations=[{"operator": "Exists"}]),
    ),
    "!has(self.value) || self.operator": (
        scheduling(tolerations=[{"key": "gpu", "operator": "Exists", "value": "yes"}]),
        scheduling(tolerations=[{"key": "gpu", "operator": "Equal", "value": "yes"}]),
    ),
    "!has(self.tolerationSeconds)": (
        scheduling(tolerations=[{"operator": "Exists", "tolerationSeconds": 5}]),
        scheduling(tolerations=[{"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}]),
    ),
    "self.all(k, k.matches(": (
        scheduling(nodeSelector={"our pool": "gpu"}),
        scheduling(nodeSelector={"example.com/pool": "gpu", "zone": ""}),
    ),
    "has(self.secretKeyRef) != has(self.configMapKeyRef)": (
        pods(env=[{"name": "A", "valueFrom": {}}]),
        pods(env=[{"name": "A", "valueFrom": FROM_SECRET}]),
    ),
    "has(self.value) != has(self.valueFrom)": (
        pods(env=[{"name": "A", "value": "a", "valueFrom": FROM_SECRET}]),
        pods(env=[{"name": "A", "value": ""}]),
    ),
    "!self.name.startsWith('MTJ_')": (
        pods(env=[{"name": "MTJ_WORK_DIR", "value": "/a"}]),
        pods(env=[{"name": "OUR_MTJ_", "value": "/a"}]),
    ),
    "[has(self.persistentVolumeClaim)": (
        pods(volumes=[{"name": "a", "mountPath": "/a", "secret": "a", "configMap": "a"}]),
        pods(volumes=[{"name": "a", "mountPath": "/a", "secret": "a"}]),
    ),
    "!['/work', '/tmp'": (
        pods(volumes=[{"name": "a", "mountPath": "/work/a", **CLAIM}]),
        pods(volumes=[{"name": "a", "mountPath": "/works", **CLAIM}]),
    ),
    "!self.labels.exists(": (
        pods(labels={"app.kubernetes.io/name": "mine"}),
        pods(labels={"app.kubernetes.io/part-of": "mine"}),
    ),
    "self.volumes.all(v": (
        pods(volumes=[{"name": name, "mountPath": "/a", **CLAIM} for name in "ab"]),
        pods(volumes=[{"name": name, "mountPath": f"/{name}", **CLAIM} for name in "ab"]),
    ),
}
"""What each rule begins with: a spec that it alone refuses, and one that it lets pass."""

FORMS: dict[str, tuple[Spec, Spec]] = {
    "a tonic": (
        {"model": {}, "evaluation": {"requests": [{"key": "C major"}]}},
        {"model": {}, "evaluation": {"requests": [{"key": "F#min"}]}},
    ),
    "beats and unit": (
        {"model": {}, "evaluation": {"requests": [{"metre": "4/5"}]}},
        {"model": {}, "evaluation": {"requests": [{"metre": "12/8"}]}},
    ),
    "lower-case letters, digits and '-'": (
        pods(volumes=[{"name": "my disk", "mountPath": "/a", **CLAIM}]),
        pods(volumes=[{"name": "my-disk", "mountPath": "/a", **CLAIM}]),
    ),
    "lower-case letters, digits, '-' and '.'": (scheduling(storageSecret="S3"), scheduling(storageSecret="s3.keys")),
    "an amount": (
        scheduling(resources={"train": {"memory": "16GB"}}),
        scheduling(resources={"train": {"memory": "1.5Gi", "cpu": 4}}),
    ),
    "letters, digits, '-', '_' and '.', such as gpu-pool": (
        scheduling(nodeSelector={"pool": "our own"}),
        scheduling(nodeSelector={"pool": "our.own_1"}),
    ),
    "letters, digits, '-', '_' and '.', perhaps": (
        scheduling(tolerations=[{"key": "a/b/c", "operator": "Exists"}]),
        scheduling(tolerations=[{"key": "a/b", "operator": "Exists"}]),
    ),
    "a domain": (scheduling(gpuResource="gpu"), scheduling(gpuResource="amd.com/gpu")),
    "letters, digits, '-', '_' and '.', such as AWS": (
        pods(env=[{"name": "A", "valueFrom": {"secretKeyRef": {"name": "a", "key": "a b"}}}]),
        pods(env=[{"name": "A", "valueFrom": {"secretKeyRef": {"name": "a", "key": "a_b"}}}]),
    ),
    "letters, digits and '_'": (
        pods(env=[{"name": "1A", "value": ""}]),
        pods(env=[{"name": "A1", "value": ""}]),
    ),
    "a whole path": (
        pods(volumes=[{"name": "a", "mountPath": "music", **CLAIM}]),
        pods(volumes=[{"name": "a", "mountPath": "/music/a", **CLAIM}]),
    ),
    "the name of an image": (scheduling(image="my trainer"), scheduling(image="example.com/trainer@sha256:0")),
}
"""What a text of each form is to be: a spec that has another, and one that has it."""

TWICE: dict[str, Spec] = {
    "midi": {"dataset": {"source": "m", "modalities": ["midi", "midi"]}},
    "KEY": pods(env=[{"name": "KEY", "value": "a"}, {"name": "KEY", "value": "b"}]),
    "disk": pods(volumes=[{"name": "disk", "mountPath": f"/{name}", **CLAIM} for name in "ab"]),
}
"""What is there twice in a list whose items differ, or differ by name: no rule in CEL, but Kubernetes' own."""
