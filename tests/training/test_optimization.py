"""The learning rate over time, which weights decay, and the moving average."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from mtj_api.spec import Optimizer, Schedule
from mtj_trainer.train.optimization import AveragedWeights, learning_rate, make_optimizer

COSINE = Schedule(warmup_steps=10, decay="cosine", final_ratio=0.1)


@pytest.mark.parametrize(
    ("decay", "step", "expected"),
    [
        ("cosine", 0, 0.1),
        ("cosine", 9, 1.0),
        ("cosine", 10, 1.0),
        ("cosine", 55, 0.54),
        ("cosine", 99, 0.1),
        ("linear", 10, 1.0),
        ("linear", 99, 0.1),
        ("constant", 99, 1.0),
        ("cosine", 500, 0.1),
    ],
)
def test_the_rate_of_a_step(decay: str, step: int, expected: float) -> None:
    schedule = COSINE.model_copy(update={"decay": decay})
    assert learning_rate(step, 100, 1.0, schedule) == pytest.approx(expected, abs=0.01)


@given(
    steps=st.integers(1, 500),
    warmup=st.integers(0, 100),
    decay=st.sampled_from(["cosine", "linear", "constant"]),
)
def test_the_rate_rises_to_its_peak_and_never_rises_again(steps: int, warmup: int, decay: str) -> None:
    schedule = Schedule(warmup_steps=warmup, decay=decay, final_ratio=0.1)  # type: ignore[arg-type]
    rates = [learning_rate(step, steps, 1.0, schedule) for step in range(steps)]
    assert all(0 < rate <= 1.0 for rate in rates)
    after = rates[warmup:]
    assert after == sorted(after, reverse=True)
    assert rates[:warmup] == sorted(rates[:warmup])


def test_matrices_decay_and_gains_do_not() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.RMSNorm(3))
    model.gain_of_ia3 = nn.Parameter(torch.ones(3, 1))
    optimizer = make_optimizer(model, Optimizer(learning_rate=0.1, weight_decay=0.5))
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    before = {name: tensor.clone() for name, tensor in model.named_parameters()}
    optimizer.step()
    decayed = {name for name, tensor in model.named_parameters() if not torch.equal(tensor, before[name])}
    assert decayed == {"0.weight"}


def test_the_average_follows_the_weights_and_lends_itself_to_the_model() -> None:
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    averaged = AveragedWeights(model.state_dict(), 0.9)
    nn.init.ones_(model.weight)
    for update in range(200):
        averaged.update(update)
    assert averaged.weights["weight"].item() == pytest.approx(1.0, abs=1e-6)
    nn.init.constant_(model.weight, 5.0)
    with averaged.in_place():
        assert model.weight.item() == pytest.approx(1.0, abs=1e-6)
    assert model.weight.item() == 5.0


def test_without_averaging_the_weights_are_followed_exactly() -> None:
    model = nn.Linear(2, 2)
    averaged = AveragedWeights(model.state_dict(), 0.0)
    nn.init.normal_(model.weight)
    averaged.update(0)
    assert torch.equal(averaged.weights["weight"], model.weight)
