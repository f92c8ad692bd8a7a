"""What an engine keeps of a model of which a part is frozen; of one that is not, everything as before."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn

from mtj_api import JobError
from mtj_api.spec import Optimizer
from mtj_trainer.train.distributed import World
from mtj_trainer.train.engine import Weights
from mtj_trainer.train.engine.ddp import DdpEngine
from mtj_trainer.train.optimization import AveragedWeights
from support.judging import every_step_is_good


def engine_of(*, frozen: bool) -> DdpEngine:
    """Of a model with two linear layers and a buffer."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 1))
    model.register_buffer("scale", torch.ones(1))
    model[0].requires_grad_(not frozen)
    return DdpEngine(model, Optimizer(learning_rate=0.1, weight_decay=0.1), World(0, 0, 1, torch.device("cpu")), "fp32")


def step(engine: DdpEngine) -> None:
    engine.backward(engine.parallel(torch.ones(2, 4)).sum())
    engine.step(0.1, every_step_is_good)


@pytest.mark.parametrize(
    ("frozen", "names"),
    [
        (False, ["scale", "0.weight", "0.bias", "1.weight", "1.bias"]),
        (True, ["1.weight", "1.bias"]),
    ],
)
def test_only_what_changes_is_kept_and_a_run_goes_on_from_it_exactly(frozen: bool, names: list[str]) -> None:
    engine = engine_of(frozen=frozen)
    averaged = AveragedWeights(engine.parts(), 0.5)
    step(engine)
    averaged.update(0)
    assert list(engine.parts()) == list(averaged.weights) == names
    weights = {name: tensor.clone() for name, tensor in engine.parts().items()}
    state = copy.deepcopy(engine.optimizer_state())
    assert len(state["optimizer"]["state"]) == len(names) - (not frozen)
    other = engine_of(frozen=frozen)
    other.restore(weights, state)
    step(engine)
    step(other)
    for name, tensor in engine.model.state_dict().items():
        assert torch.equal(tensor, other.model.state_dict()[name]), name


@pytest.mark.parametrize(
    "change",
    [
        lambda weights: weights.pop("1.bias"),
        lambda weights: weights.update({"0.bias": torch.zeros(4)}),
        lambda weights: weights.update({"2.bias": torch.zeros(4)}),
    ],
    ids=["missing", "frozen", "unknown"],
)
def test_a_checkpoint_of_other_weights_is_refused(change: Callable[[Weights], object]) -> None:
    engine = engine_of(frozen=True)
    step(engine)
    weights = engine.parts()
    change(weights)
    with pytest.raises(JobError, match=r"are not what is trained.*bias"):
        engine.restore(weights, engine.optimizer_state())
