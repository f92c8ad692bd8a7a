"""What a job comes to: each derived value follows from the others, by the guide's tables, with its reason."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtj_api import MusicTrainingJob, parse_job, resolve, walk
from mtj_api.defaults import GUIDE_DEFAULTS, SIZES, size_class
from mtj_api.resolve import GIVEN
from support.jobs import SMALLEST, text

CODEC = {"model": {"family": "codec"}}
MUSICGEN = {"model": {"family": "musicgen", "pretrained": "facebook/musicgen-small"}}
LORA = {"model": {**MUSICGEN["model"], "size": "large"}, "training": {"strategy": "lora"}}

DERIVED: list[tuple[dict[str, Any], str, Any, str]] = [
    ({}, "dataset.cache", "./out/data", "beside the output"),
    ({"output": "s3://a/b/"}, "dataset.cache", "s3://a/b/data", "beside the output"),
    ({}, "dataset.modalities", ["audio", "midi"], "without a model, all that is found is prepared"),
    ({"model": {}}, "dataset.modalities", ["midi"], "what the family symbolic reads"),
    ({}, "dataset.midi.stepsPerBeat", 8, "thirty-second notes"),
    ({"dataset": {"source": "m", "midi": {"tokenizer": "grid"}}}, "dataset.midi.stepsPerBeat", 4, "sixteenth notes"),
    ({"model": {}}, "model.architecture.layers", 4, "a model that trains in minutes on a laptop"),
    ({"model": {"architecture": {"layers": 2}}}, "model.architecture.width", 192, "default"),
    ({"model": {"pretrained": "m"}}, "model.architecture", None, "brought by the pretrained model"),
    (CODEC, "dataset.modalities", ["audio"], "what the family codec reads"),
    (CODEC, "dataset.audio.sampleRate", 16_000, "what a small codec reproduces"),
    (CODEC, "dataset.audio.channels", 1, "what the family codec reads"),
    ({}, "dataset.audio.sampleRate", 44_100, "guide: 44.1 or 48 kHz"),
    (CODEC, "model.architecture", None, "a codec is no transformer"),
    (CODEC, "model.codecArchitecture.strides", [4, 4, 4, 5], "a codec that trains"),
    (CODEC, "model.size", "small", "about 2,061,037 parameters"),
    (CODEC, "model.conditioning", [], "a codec is given nothing but sound"),
    (CODEC, "training.regularization.dropout", 0.0, "a codec has none"),
    (MUSICGEN, "dataset.audio.sampleRate", 32_000, "MusicGen's own"),
    (MUSICGEN, "model.conditioning", ["text"], "what the family musicgen always listens to"),
    (MUSICGEN, "training.strategy", "finetune", "model.pretrained is given"),
    (MUSICGEN, "evaluation.requests", [], "requests are for the family symbolic"),
    (MUSICGEN, "training.peft.rank", 8, "a small model (guide: size table)"),
    (LORA, "training.peft.alpha", 64.0, "twice the rank"),
    (LORA, "training.peft.rank", 32, "a large model (guide: size table)"),
    (LORA, "training.optimizer.learningRate", 2e-4, "adaptation of a large model (guide: 1e-4 to 5e-4)"),
    (LORA, "training.optimizer.weightDecay", 0.01, "strategy lora (guide: 0.001 to 0.01)"),
    ({"model": {"from": {"job": "a"}}}, "training.strategy", "finetune", "model.from is given"),
    ({"model": {}}, "model.size", "small", "about 1,967,808 parameters"),
    ({"model": {}, "training": {"nodes": 4}}, "training.minNodes", 4, "as many as nodes: all of them train, or none"),
    ({"model": {"pretrained": "m"}}, "model.size", "small", "assumed of a pretrained model"),
    ({"model": {}}, "training.strategy", "full", "there is no model.pretrained"),
    ({"model": {"pretrained": "m"}}, "training.strategy", "finetune", "model.pretrained is given"),
    ({"model": {}}, "training.optimizer.learningRate", 1e-3, "full training of a small model"),
    ({"model": {"pretrained": "m"}}, "training.optimizer.learningRate", 5e-5, "fine-tuning of a small model"),
    ({"model": {"pretrained": "m", "size": "medium"}}, "training.optimizer.learningRate", 2e-5, "a medium model"),
    ({"model": {"pretrained": "m", "size": "large"}}, "training.batch.size", 4, "a large model (guide: size table)"),
    ({"model": {"pretrained": "m", "size": "xl"}}, "training.optimizer.learningRate", 5e-6, "a xl model"),
    ({"model": {}}, "training.optimizer.weightDecay", 0.1, "strategy full (guide: 0.01 to 0.1)"),
    ({"model": {"pretrained": "m"}}, "training.optimizer.weightDecay", 0.01, "strategy finetune"),
    ({"model": {}}, "training.schedule.decay", "cosine", "strategy full (guide)"),
    ({"model": {"pretrained": "m"}}, "training.schedule.decay", "linear", "strategy finetune (guide)"),
    ({"model": {}}, "training.schedule.warmupSteps", 100, "a twentieth of the steps"),
    ({"model": {}, "training": {"steps": 1}}, "training.schedule.warmupSteps", 0, "a twentieth of the steps"),
    ({"model": {}, "training": {"steps": 10**6}}, "training.schedule.warmupSteps", 1000, "at most 1000"),
    ({"model": {}}, "training.batch.size", 32, "a small model (guide: size table)"),
    (
        {"model": {}, "training": {"processesPerNode": 3, "batch": {"accumulation": 2}}},
        "training.batch.size",
        36,
        "up to a multiple of 6",
    ),
    ({"model": {}}, "training.regularization.dropout", 0.1, "guide: 0.1 to 0.3"),
    ({"model": {}}, "checkpoint.everySteps", 200, "a tenth of a shorter run"),
    ({"model": {}, "training": {"steps": 10**6}}, "checkpoint.everySteps", 1000, "guide: every 1000 to 5000 steps"),
    ({"model": {}, "training": {"steps": 5}}, "evaluation.everySteps", 1, "a tenth of a shorter run"),
    ({"checkpoint": {"url": "c"}}, "checkpoint.url", "c", GIVEN),
    ({"output": "o"}, "checkpoint.url", "o/checkpoints", "in the output"),
    ({"model": {}}, "dataset.audio.loudnessLufs", -14.0, "default (guide: -14 LUFS)"),
    ({"model": {}}, "evaluation.seed", 0, "default"),
]
"""What the spec says, a path, the value that it comes to, and a part of the reason."""


@pytest.mark.parametrize(("spec", "path", "value", "reason"), DERIVED)
def test_a_value_follows_from_the_rest(spec: dict[str, Any], path: str, value: Any, reason: str) -> None:
    values = {found.path: found for found in parse_job(text(**spec)).values}
    found = values[f"spec.{path}"]
    assert found.value == value
    assert reason in found.reason


@pytest.mark.parametrize(
    ("conditioning", "asked"),
    [
        (["key", "metre", "tempo", "instruments"], [("Gmaj", "4/4", 96.0), ("Amin", "4/4", 80.0)]),
        (["key"], [("Gmaj", None, None), ("Amin", None, None)]),
        ([], [(None, None, None), (None, None, None)]),
    ],
)
def test_the_pieces_asked_for_are_in_major_and_minor_as_far_as_the_model_hears(
    conditioning: list[str], asked: list[tuple[Any, ...]]
) -> None:
    requests = parse_job(text(model={"conditioning": conditioning})).job.spec.evaluation.requests
    assert [(request.key, request.metre, request.tempo) for request in requests] == asked


def test_what_the_user_wrote_is_kept_and_said_to_be_theirs() -> None:
    values = {found.path: found for found in parse_job(SMALLEST).values}
    assert (values["spec.dataset.source"].value, values["spec.dataset.source"].reason) == ("./music", GIVEN)


def test_a_job_without_a_model_gets_no_training() -> None:
    spec = parse_job(SMALLEST).job.spec
    assert (spec.model, spec.training) == (None, None)


def test_the_job_that_is_resolved_is_left_as_it_was() -> None:
    job = MusicTrainingJob.model_validate(
        json.loads(
            json.dumps({"metadata": {"name": "a"}, "spec": {"output": "o", "dataset": {"source": "m"}, "model": {}}})
        )
    )
    before = job.model_copy(deep=True)
    resolve(job)
    assert job == before


@settings(deadline=None)
@given(
    steps=st.integers(1, 10**8),
    accumulation=st.integers(1, 4096),
    processes=st.integers(1, 64),
    size=st.sampled_from(["small", "medium", "large", "xl"]),
    pretrained=st.booleans(),
    conditioning=st.sets(st.sampled_from(["key", "metre", "tempo", "instruments"])),
)
def test_every_resolved_job_is_itself_a_job_that_resolves_to_itself(
    steps: int, accumulation: int, processes: int, size: str, pretrained: bool, conditioning: set[str]
) -> None:
    model: dict[str, Any] = {"size": size, "conditioning": sorted(conditioning)}
    if pretrained:
        model["pretrained"] = "./m"
    training = {"steps": steps, "processesPerNode": processes, "batch": {"accumulation": accumulation}}
    job = parse_job(text(model=model, training=training)).job
    again = MusicTrainingJob.model_validate(json.loads(job.model_dump_json(by_alias=True)))
    assert resolve(again).job == again == job


BROUGHT_ALONG = {"spec.model.architecture", "spec.model.codecArchitecture"}
"""What a model that is there has, and what one of another family has not."""


def test_nothing_is_left_open() -> None:
    for given_text in (SMALLEST + "  model: {}", SMALLEST + "  model: {pretrained: ./m}"):
        values = {value.path: value.value for value in parse_job(given_text).values}
        for field in walk.fields_of(MusicTrainingJob):
            path = ".".join(field.path)
            if field.is_derived and path in values and path not in BROUGHT_ALONG:
                assert values[path] is not None, path


@pytest.mark.parametrize(
    ("parameters", "name"),
    [(0, "small"), (499_999_999, "small"), (500_000_000, "medium"), (2 * 10**9, "large"), (10**10, "xl")],
)
def test_the_size_table_has_a_row_for_every_model(parameters: int, name: str) -> None:
    assert size_class(parameters) == name
    assert list(SIZES) == ["small", "medium", "large", "xl"]


def test_the_guides_reasons_are_of_fields_that_there_are() -> None:
    known = set()
    for field in walk.fields_of(MusicTrainingJob):
        known.add(".".join((*(_attribute(part) for part in field.path[:-1]), field.attribute)))
    assert set(GUIDE_DEFAULTS) <= known


def _attribute(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
