"""How large a model is, how much memory training it takes, and what is said where a machine has too little."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest

from mtj_api import parse_job
from mtj_api.estimate import (
    MemoryEstimate,
    Started,
    divided_parts,
    machine_memory,
    offloaded_parts,
    process_memory,
    published_sizes,
    shortage,
    sizes_in,
)
from mtj_api.estimate.musicgen import MusicGenSizes
from mtj_api.sizes import parameter_count
from mtj_api.spec import Architecture, CodecArchitecture, JobSpec, Training
from support.jobs import text

SMALL = published_sizes("facebook/musicgen-small")
HUB = {"family": "musicgen", "pretrained": "facebook/musicgen-small"}
MODELS: dict[str, dict[str, Any]] = {
    "symbolic": {},
    "codec": {"family": "codec"},
    "musicgen": {"family": "musicgen", "codec": {"url": "./codec"}},
}


def spec(model: dict[str, Any] | None = None, **training: Any) -> JobSpec:
    return parse_job(text(model=model or {}, training=training)).job.spec


def estimate(of: JobSpec, processes: int = 1, started: Started | None = None) -> MemoryEstimate:
    found = process_memory(of, processes, started)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("sizes", "millions"),
    [
        ({}, 1.97),
        ({"layers": 12, "width": 768, "heads": 12}, 85.7),
        ({"layers": 24, "width": 2048, "heads": 32}, 1210.0),
    ],
)
def test_parameters_follow_from_layers_and_width(sizes: dict[str, int], millions: float) -> None:
    assert parameter_count(Architecture(**sizes)) / 1e6 == pytest.approx(millions, rel=0.01)


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_what_saves_memory_is_seen_to(model: dict[str, Any]) -> None:
    def memory(processes: int = 1, **training: Any) -> int:
        return estimate(spec(model, batch={"size": 64}, **training), processes).total

    assert memory(precision="bf16") < memory(precision="fp32") == memory(precision="auto")
    assert memory(2) < memory()
    assert estimate(spec(model, batch={"size": 64, "accumulation": 4})).total < memory()
    assert memory(regularization={"weightAveraging": 0.0}) < memory()
    if model.get("family") != "codec":
        assert memory(activationCheckpointing=True) < memory()


def test_each_part_is_counted_once() -> None:
    found, parameters = estimate(spec()), 4 * parameter_count(Architecture(), vocabulary=691)
    assert (found.weights, found.optimizer, found.averaged_weights) == (parameters, 2 * parameters, parameters)
    assert found.total == sum(asdict(found).values())


ADAPTED = {
    "lora": 24 * 8 * 8 * 2 * 1024,
    "dora": 24 * 8 * (8 * 2 * 1024 + 1024),
    "ia3": 24 * (4 * 1024 + 4 * 1024),
    "adapter": 24 * (2 * 1024 * 64 + 64 + 1024),
    "prompt": 16 * 1024,
}
"""Parameters that strategies add to a decoder of 24 layers, 1024 wide, by their defaults."""


@pytest.mark.parametrize(("strategy", "added"), ADAPTED.items())
def test_a_strategy_holds_the_model_once_and_of_what_it_adds_all_that_training_needs(strategy: str, added: int) -> None:
    found = estimate(spec(HUB, strategy=strategy), started=SMALL)
    assert SMALL is not None
    whole = SMALL.decoder + SMALL.text_encoder + SMALL.codec
    assert (found.gradients, found.optimizer) == (4 * added, 8 * added)
    assert found.weights == 4 * (whole + added)
    assert found.activations < estimate(spec(HUB, strategy="finetune"), started=SMALL).activations or strategy == "dora"


@pytest.mark.parametrize(
    ("selective", "trained"),
    [
        ({"lastBlocks": 2}, 2 * (16 * 1024**2 + 6 * 1024)),
        ({"norms": True}, 24 * 6 * 1024),
        ({"biases": True}, 24 * 3 * 1024),
        ({"patterns": ["*.fc1.weight"]}, 24 * 4 * 1024**2),
        ({"patterns": ["*.23.fc1.weight"], "lastBlocks": 1}, 16 * 1024**2 + 6 * 1024),
    ],
)
def test_selective_training_needs_memory_for_what_it_selects(selective: dict[str, Any], trained: int) -> None:
    found = estimate(spec(HUB, strategy="selective", selective=selective), started=SMALL)
    assert found.gradients == 4 * trained


def test_blocks_below_those_that_are_trained_keep_nothing() -> None:
    def kept(blocks: int) -> int:
        return estimate(spec(HUB, strategy="selective", selective={"lastBlocks": blocks}), started=SMALL).activations

    assert kept(1) < kept(2) < kept(12) / 3


DIVIDED = {
    "ZeRO 0": {},
    "ZeRO 1": {"optimizer": 4},
    "ZeRO 2": {"optimizer": 4, "gradients": 4},
    "ZeRO 3": {"optimizer": 4, "gradients": 4, "weights": 4, "averaged_weights": 4},
    "FSDP": {"optimizer": 4, "gradients": 4, "weights": 4, "averaged_weights": 4},
}
"""By engine: what four processes hold a quarter of each."""


@pytest.mark.parametrize(("engine", "parts"), DIVIDED.items())
def test_engines_divide_what_all_processes_would_hold_alike(engine: str, parts: dict[str, int]) -> None:
    alone = asdict(estimate(spec(batch={"size": 64}), 4))
    zero = engine.startswith("ZeRO")
    settings: dict[str, Any] = {"engine": "fsdp"}
    if zero:
        settings = {"engine": "deepspeed", "deepspeed": {"zeroStage": int(engine[-1])}}
    divided = asdict(estimate(spec(batch={"size": 64}, **settings), 4))
    if zero and parts:
        alone["optimizer"] += alone["weights"]  # ZeRO's own copy
    for name in ("weights", "gradients", "optimizer", "averaged_weights", "activations"):
        assert divided[name] == alone[name] // parts.get(name, 1)


def test_torchrun_divides_nothing_whatever_deepspeed_would() -> None:
    settings = Training.model_validate({"batch": {"size": 64}, "deepspeed": {"zeroStage": 3}})
    assert divided_parts(settings) == frozenset()


@pytest.mark.parametrize(
    ("engine", "offload", "parts"),
    [
        ("deepspeed", "none", set()),
        ("deepspeed", "optimizer", {"optimizer"}),
        ("deepspeed", "all", {"optimizer", "weights"}),
        ("torchrun", "all", set()),
    ],
)
def test_what_is_offloaded_lies_in_the_machines_memory(engine: str, offload: str, parts: set[str]) -> None:
    settings = Training.model_validate({"engine": engine, "deepspeed": {"zeroStage": 3, "offload": offload}})
    assert offloaded_parts(settings) == parts


def test_processes_of_a_machine_hold_pytorchs_code_together() -> None:
    one = estimate(spec())
    assert machine_memory(one, 2) - machine_memory(one, 1) < one.total


CONFIGS: dict[str, tuple[dict[str, Any], Started]] = {
    "symbolic": (
        {"family": "symbolic", "layers": 2, "width": 32, "heads": 2, "context": 64, "vocabulary": 331},
        Architecture(layers=2, width=32, heads=2, context=64),
    ),
    "dac": (
        {
            "model_type": "dac",
            "encoder_hidden_size": 8,
            "downsampling_ratios": [2, 4],
            "decoder_hidden_size": 32,
            "n_codebooks": 2,
            "codebook_size": 16,
            "codebook_dim": 4,
        },
        CodecArchitecture(
            encoder_width=8, strides=[2, 4], decoder_width=32, codebooks=2, codebook_size=16, codebook_dim=4
        ),
    ),
    "musicgen": (
        {
            "model_type": "musicgen",
            "decoder": {
                "num_hidden_layers": 2,
                "hidden_size": 32,
                "num_attention_heads": 4,
                "num_codebooks": 4,
                "vocab_size": 64,
            },
        },
        MusicGenSizes(2, 32, 4, context=96, codebooks=4, codebook_size=64, text_encoder=70, codec=30),
    ),
}


@pytest.mark.parametrize(("config", "sizes"), CONFIGS.values(), ids=CONFIGS)
def test_sizes_of_the_model_to_start_from_are_in_its_files(config: dict[str, Any], sizes: Started) -> None:
    counts = {"decoder": 1, "text_encoder": 70, "audio_encoder": 30}
    assert sizes_in(json.loads(json.dumps(config)), counts, longest=100) == sizes


def test_of_an_unknown_model_nothing_is_said() -> None:
    assert sizes_in({"model_type": "bert"}, {}) is None
    assert published_sizes("someone/musicgen-own") is None
    assert process_memory(spec(HUB)) is None
    assert shortage(spec(HUB), 1 << 30) is None


def test_a_machine_with_enough_memory_lacks_nothing() -> None:
    assert shortage(spec(), 8 << 30) is None


WAYS: dict[str, tuple[dict[str, Any], dict[str, Any], int, list[str]]] = {
    "more passes, or recomputing": (
        {},
        {"batch": {"size": 32}},
        3 << 29,
        ["training.batch.accumulation: 4", "training.activationCheckpointing: true"],
    ),
    "a codec recomputes nothing": (MODELS["codec"], {}, 5 << 29, ["training.batch.accumulation: 2"]),
    "adapting instead of fine-tuning": (
        HUB,
        {"strategy": "finetune", "batch": {"size": 1}},
        9 << 30,
        ["training.strategy: lora"],
    ),
    "nothing helps": ({"architecture": {"layers": 32, "width": 4096, "heads": 32}}, {}, 8 << 30, []),
}


@pytest.mark.parametrize(("model", "training", "memory", "settings"), WAYS.values(), ids=WAYS)
def test_settings_that_would_fit_are_named_with_what_they_need(
    model: dict[str, Any], training: dict[str, Any], memory: int, settings: list[str]
) -> None:
    lacking = shortage(spec(model, **training), memory, SMALL if model is HUB else None)
    assert lacking is not None
    assert [setting for setting, _ in lacking.ways] == settings
    assert all(needed <= memory for _, needed in lacking.ways)
    assert all(setting in lacking.instead for setting in settings)


def test_a_shortage_is_certain_beyond_what_the_estimate_may_be_off() -> None:
    job = spec()
    needed = machine_memory(estimate(job), 1)
    nearly, far = shortage(job, int(0.9 * needed)), shortage(job, int(0.8 * needed))
    assert nearly is not None
    assert far is not None
    assert (nearly.certain, far.certain) == (False, True)


def test_the_count_is_that_of_the_model_that_is_trained() -> None:
    from mtj_trainer.families.symbolic.model import SymbolicConfig, SymbolicModel

    model = SymbolicModel(SymbolicConfig(vocabulary=512, feature_sizes=(), layers=4, width=192, heads=6, context=512))
    parameters = {id(parameter): parameter.numel() for parameter in model.parameters()}
    assert sum(parameters.values()) == parameter_count(Architecture(), vocabulary=512)
