"""Dropout: how much is dropped, that the mean stays, and that gradients pass where values passed."""

from __future__ import annotations

import pytest
import torch

from mtj_trainer.families.symbolic.dropout import Dropout


@pytest.mark.parametrize("probability", [0.05, 0.1, 0.5])
def test_the_asked_for_part_is_dropped_and_the_mean_stays(probability: float) -> None:
    torch.manual_seed(0)
    out = Dropout(probability)(torch.ones(1000, 1001))
    assert (out == 0).double().mean().item() == pytest.approx(probability, abs=0.003)
    assert out.mean().item() == pytest.approx(1.0, abs=0.005)


def test_gradients_pass_where_values_passed() -> None:
    torch.manual_seed(0)
    values = torch.randn(7, 13, requires_grad=True)
    out = Dropout(0.3)(values)
    out.sum().backward()
    assert values.grad is not None
    assert torch.equal(values.grad == 0, out == 0)
    assert torch.allclose(values.grad[out != 0], torch.tensor(1 / 0.7), rtol=1e-4)


def test_without_training_nothing_is_dropped() -> None:
    values = torch.randn(10)
    assert torch.equal(Dropout(0.5).eval()(values), values)


def test_the_seed_decides() -> None:
    outs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        outs.append(Dropout(0.5)(torch.ones(100)))
    assert torch.equal(outs[0], outs[1])
    assert not torch.equal(outs[0], outs[2])
