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
