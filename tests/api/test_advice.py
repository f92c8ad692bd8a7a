"""What a good colleague says of a job that is valid."""

from __future__ import annotations

from typing import Any

import pytest

from mtj_api import parse_job
from mtj_api.advice import Machine, Survey, advise
from support.jobs import text

PLENTY = Survey(files=1000, audio_hours=100.0, midi_hours=100.0, estimated=False)
LAPTOP = Machine(cores=8, memory=16 << 30, gpus=0, fast_bf16=True)
SERVER = Machine(cores=64, memory=256 << 30, gpus=2, fast_bf16=True)
VOLUME = {"name": "a", "mountPath": "/a", "persistentVolumeClaim": {"claimName": "a"}}
FINETUNE = {"model": {"pretrained": "./m"}}

CASES: dict[str, tuple[dict[str, Any], Survey | None, Machine | None, list[str]]] = {
    "all is well": ({"model": {}}, PLENTY, LAPTOP, []),
    "nothing is known": ({"model": {}}, None, None, []),
    "data only": (
        {},
        Survey(40, 0.2, 0.0, False),
        LAPTOP,
        ["validation leaves about 4 of 40", "test leaves about 4 of 40"],
    ),
    "little music to train on": (
        {"model": {}},
        Survey(400, 0.0, 6.0, True),
        LAPTOP,
        ["there are about 6 hours of music, and strategy full needs 50 hours or more (guide); fine-tune a model"],
    ),
    "little music to fine-tune with": (
        FINETUNE,
        Survey(100, 0.0, 0.5, False),
        LAPTOP,
        ["there are 30 minutes of music, and strategy finetune needs 1 hour or more (guide); expect it to overfit"],
    ),
    "no music": ({"model": {}}, Survey(0, 0.0, 0.0, False), LAPTOP, ["dataset.source holds no music"]),
    "no MIDI": ({"model": {}}, Survey(90, 9.0, 0.0, False), LAPTOP, ["dataset.source holds no MIDI"]),
    "few tracks": (
        {"model": {}},
        Survey(20, 0.0, 60.0, False),
        LAPTOP,
        ["dataset.split.validation leaves about 2 of 20 tracks", "dataset.split.test leaves about 2 of 20 tracks"],
    ),
    "more workers than cores": (
        {"dataset": {"source": "m", "workers": {"count": 9}}},
        PLENTY,
        LAPTOP,
        ["dataset.workers.count is 9 and this machine has 8 cores"],
    ),
    "more processes than cores": (
        {"model": {}, "training": {"processesPerNode": 16}},
        PLENTY,
        LAPTOP,
        ["training.processesPerNode is 16 and this machine has 8 cores; write at most 8"],
    ),
    "more processes than GPUs": (
        {"model": {}, "training": {"processesPerNode": 4}},
        PLENTY,
        SERVER,
        ["training.processesPerNode is 4 and this machine has 2 GPUs; write at most 2"],
    ),
    "fp16 without a GPU": ({"model": {}, "training": {"precision": "fp16"}}, PLENTY, LAPTOP, ["fp16 needs a GPU"]),
    "fp16 with a GPU": ({"model": {}, "training": {"precision": "fp16"}}, PLENTY, SERVER, []),
    "bf16 on an old processor": (
        {"model": {}, "training": {"precision": "bf16"}},
        PLENTY,
        Machine(cores=4, memory=8 << 30, gpus=0, fast_bf16=False),
        ["this processor has no bf16 arithmetic"],
    ),
    "what is faster on an old processor": (
        {"model": {}},
        PLENTY,
        Machine(cores=4, memory=8 << 30, gpus=0, fast_bf16=False),
        [],
    ),
    "too large for the machine": (
        {"model": {"architecture": {"layers": 32, "width": 4096, "heads": 32}}},
        PLENTY,
        LAPTOP,
        ["training needs about"],
    ),
    "no checkpoint before the end": (
        {"model": {}, "training": {"steps": 50}, "checkpoint": {"everySteps": 51}},
        PLENTY,
        LAPTOP,
        ["checkpoint.everySteps is 51 and training has 50 steps: a lost process loses all of it; write 5"],
    ),
    "no validation before the end": (
        {"model": {}, "training": {"steps": 50}, "evaluation": {"everySteps": 51}},
        PLENTY,
        LAPTOP,
        ["evaluation.everySteps is 51 and training has 50 steps: only the last weights are validated"],
    ),
    "warming up most of the time": (
        {"model": {}, "training": {"steps": 100, "schedule": {"warmupSteps": 51}}},
        PLENTY,
        LAPTOP,
        ["training.schedule.warmupSteps is more than half of training.steps"],
    ),
    "a high rate": (
        {**FINETUNE, "training": {"optimizer": {"learningRate": 0.001}}},
        PLENTY,
        LAPTOP,
        ["training.optimizer.learningRate 0.001 is above what strategy finetune usually takes (guide: 1e-5 to 5e-5)"],
    ),
    "a low rate": (
        {"model": {}, "training": {"optimizer": {"learningRate": 1e-6}}},
        PLENTY,
        LAPTOP,
        ["training.optimizer.learningRate 1e-06 is below what strategy full usually takes"],
    ),
    "settings of what is not done": (
        {
            "dataset": {"source": "m", "modalities": ["midi"], "audio": {"channels": 1}, "midi": {"voices": 3}},
            "evaluation": {"seed": 1},
        },
        PLENTY,
        LAPTOP,
        [
            "evaluation.seed has no effect: there is no model",
            "dataset.audio.channels has no effect: dataset.modalities has no audio",
            "dataset.midi.voices has no effect: only the grid has voices",
        ],
    ),
    "several machines on one": (
        {"model": {}, "training": {"nodes": 2, "processesPerNode": 4}, "output": "s3://a/b"},
        PLENTY,
        LAPTOP,
        [
            (
                "training.nodes is 2, which is for a cluster: mtj run trains on this machine alone, with 4 "
                "processes and the same batch"
            )
        ],
    ),
    "more pods than workers": (
        {"dataset": {"source": "s3://a/b", "workers": {"nodes": 3}}, "output": "s3://a/c"},
        PLENTY,
        LAPTOP,
        ["dataset.workers.nodes is 3 and count 2, so some pods would only wait; write a count of 3 or more"],
    ),
    "workers over several pods": (
        {"dataset": {"source": "s3://a/b", "workers": {"nodes": 3, "count": 30}}, "output": "s3://a/c"},
        PLENTY,
        LAPTOP,
        [],
    ),
    "several pods and no common place": (
        {"dataset": {"source": "m", "workers": {"nodes": 2}}},
        PLENTY,
        None,
        ["output is a path, and pods share no folder; write s3://bucket/prefix, or mount a persistentVolumeClaim"],
    ),
    "several pods and a volume": (
        {"dataset": {"source": "/a/m", "workers": {"nodes": 2}}, "output": "/a/out"}
        | {"scheduling": {"podTemplate": {"volumes": [VOLUME]}}},
        PLENTY,
        None,
        ["several pods work at a time, so the claims of scheduling.podTemplate.volumes have to be ReadWriteMany"],
    ),
    "one pod and a volume": (
        {"output": "/a/out", "scheduling": {"podTemplate": {"volumes": [VOLUME]}}},
        PLENTY,
        None,
        [],
    ),
    "GPUs that idle": (
        {"model": {}, "scheduling": {"resources": {"train": {"gpus": 4}}}},
        PLENTY,
        None,
        [
            (
                "scheduling.resources.train.gpus is 4 and training.processesPerNode 1, so GPUs would idle; write "
                "processesPerNode: 4"
            )
        ],
    ),
    "fp16 on a cluster without GPUs": (
        {"model": {}, "training": {"precision": "fp16"}, "scheduling": {"image": "trainer:1"}},
        PLENTY,
        None,
        ["training.precision fp16 needs GPUs; ask for them by scheduling.resources.train.gpus, or write auto"],
    ),
    "DeepSpeed for one process": (
        {"model": {}, "training": {"engine": "deepspeed"}, "scheduling": {"resources": {"train": {"gpus": 1}}}},
        PLENTY,
        None,
        ["training.engine deepspeed has one process, among which nothing is divided; write torchrun, or more nodes"],
    ),
    "FSDP for one process": (
        {"model": {}, "training": {"engine": "fsdp"}, "scheduling": {"resources": {"train": {"gpus": 1}}}},
        PLENTY,
        None,
        ["training.engine fsdp has one process, among which nothing is divided; write torchrun, or more nodes"],
    ),
    "DeepSpeed for one process that offloads": (
        {
            "model": {},
            "training": {"engine": "deepspeed", "deepspeed": {"offload": "optimizer"}},
            "scheduling": {"resources": {"train": {"gpus": 1}}},
        },
        PLENTY,
        None,
        [],
    ),
    "DeepSpeed without GPUs": (
        {"model": {}, "training": {"engine": "deepspeed", "nodes": 2}, "output": "s3://a/b"},
        PLENTY,
        None,
        ["training.engine deepspeed is made for GPUs, and without them slower than torchrun"],
    ),
    "a pod too small for its processes": (
        {
            "model": {},
            "training": {"processesPerNode": 2},
            "scheduling": {"resources": {"train": {"memory": "1Gi"}}},
        },
        PLENTY,
        None,
        [
            (
                "each pod that trains needs about 3.2 GiB and is given 1Gi, at which it is killed; write "
                "scheduling.resources.train.memory: 4Gi"
            )
        ],
    ),
    "a pod large enough": (
        {
            "model": {},
            "training": {"processesPerNode": 2},
            "scheduling": {"resources": {"train": {"memory": "4Gi"}}},
        },
        PLENTY,
        None,
        [],
    ),
    "settings of another engine": (
        {"model": {}, "training": {"deepspeed": {"zeroStage": 3}}},
        PLENTY,
        LAPTOP,
        ["training.deepspeed.zeroStage has no effect: training.engine is torchrun"],
    ),
    "settings of DeepSpeed with FSDP": (
        {"model": {}, "training": {"engine": "fsdp", "deepspeed": {"offload": "optimizer"}}},
        PLENTY,
        LAPTOP,
        ["training.deepspeed.offload has no effect: training.engine is fsdp"],
    ),
    "settings of training that is not done": (
        {"scheduling": {"resources": {"train": {"gpus": 1}}}},
        PLENTY,
        LAPTOP,
        ["scheduling.resources.train.gpus has no effect: there is no model to train"],
    ),
    "velocities of the grid": (
        {"dataset": {"source": "m", "midi": {"tokenizer": "grid", "velocityBins": 2}}},
        PLENTY,
        LAPTOP,
        ["dataset.midi.velocityBins has no effect: the grid has no velocities"],
    ),
}


@pytest.mark.parametrize(("spec", "survey", "machine", "beginnings"), CASES.values(), ids=CASES)
def test_a_warning_for_what_will_disappoint(
    spec: dict[str, Any], survey: Survey | None, machine: Machine | None, beginnings: list[str]
) -> None:
    advice = advise(parse_job(text(**spec)), survey, machine)
    assert len(advice) == len(beginnings), advice
    for sentence, part in zip(advice, beginnings, strict=True):
        assert part in sentence
