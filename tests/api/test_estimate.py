"""How large a model is, and how much memory training it takes."""

from __future__ import annotations

from typing import Any

import pytest

from mtj_api.estimate import divided_parts, offloaded_parts, training_memory
from mtj_api.sizes import parameter_count
from mtj_api.spec import Architecture, Training


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


def memory(processes: int = 1, **training: Any) -> int:
    settings = Training.model_validate({"batch": {"size": 64}, **training})
    return training_memory(Architecture(), settings, processes).total


def test_what_saves_memory_is_seen_to() -> None:
    assert memory(activationCheckpointing=True) < memory()
    assert memory(precision="bf16") < memory(precision="fp32") == memory(precision="auto")
    assert memory(batch={"size": 64, "accumulation": 4}) < memory()
    assert memory(2) < memory()
    assert memory(regularization={"weightAveraging": 0.0}) < memory()


def test_each_part_is_counted_once() -> None:
    settings = Training.model_validate({"batch": {"size": 32}})
    estimate = training_memory(Architecture(), settings)
    parameters = parameter_count(Architecture())
    assert (estimate.weights, estimate.optimizer) == (4 * parameters, 8 * parameters)
    assert estimate.total == (
        estimate.weights + estimate.gradients + estimate.optimizer + estimate.averaged_weights + estimate.activations
    )


DIVIDED = {
    0: {},
    1: {"optimizer": 4},
    2: {"optimizer": 4, "gradients": 4},
    3: {"optimizer": 4, "gradients": 4, "weights": 4, "averaged_weights": 4},
}
"""By ZeRO's stage: what four processes hold a quarter of each."""


@pytest.mark.parametrize(("stage", "parts"), DIVIDED.items())
def test_zero_divides_what_all_processes_would_hold_alike(stage: int, parts: dict[str, int]) -> None:
    whole = Training.model_validate({"batch": {"size": 64}})
    zero = Training.model_validate({"batch": {"size": 64}, "engine": "deepspeed", "deepspeed": {"zeroStage": stage}})
    for name in ("weights", "gradients", "optimizer", "averaged_weights", "activations"):
        alone = getattr(training_memory(Architecture(), whole, 4), name)
        assert getattr(training_memory(Architecture(), zero, 4), name) == alone // parts.get(name, 1)


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


def test_the_count_is_that_of_the_model_that_is_trained() -> None:
    from mtj_trainer.families.symbolic.model import SymbolicConfig, SymbolicModel

    model = SymbolicModel(SymbolicConfig(vocabulary=512, feature_sizes=(), layers=4, width=192, heads=6, context=512))
    parameters = {id(parameter): parameter.numel() for parameter in model.parameters()}
    assert sum(parameters.values()) == parameter_count(Architecture(), vocabulary=512)
