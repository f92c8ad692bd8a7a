"""Training data that make a loss or a gradient bad at chosen places of the stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from mtj_trainer.families.family import Loss
from mtj_trainer.families.symbolic.family import SymbolicFamily
from mtj_trainer.families.symbolic.sequences import Batch


@dataclass(frozen=True)
class Poison:
    """What becomes of a pass that contains a poisoned example: its loss and its gradient are multiplied."""

    loss: float = 1.0
    gradient: float = 1.0


NAN, INF = float("nan"), float("inf")

BY_NAME = {
    "loss nan": Poison(NAN, NAN),
    "loss inf": Poison(INF, INF),
    "gradient nan": Poison(1.0, NAN),
    "gradient inf": Poison(1.0, INF),
    "loss spike": Poison(100.0, 1.0),
    "gradient spike": Poison(1.0, 1e4),
}


@dataclass(frozen=True)
class PoisonedBatch(Batch):
    """A batch that knows where in the stream its examples are, and whether one of them is poisoned."""

    positions: Sequence[int]
    poison: Poison | None


class PoisonedFamily(SymbolicFamily):
    """The symbolic family with poison in its stream.

    Args:
        poisoned: whether the example at a position is.
        poison: what that does.
    """

    def __init__(self, *arguments: Any, poisoned: Callable[[int], bool], poison: Poison) -> None:
        super().__init__(*arguments)
        self._poisoned = poisoned
        self._poison = poison

    def batch(self, positions: Sequence[int]) -> PoisonedBatch:
        batch = super().batch(positions)
        parts = {part.name: getattr(batch, part.name) for part in fields(Batch)}
        poison = self._poison if any(map(self._poisoned, positions)) else None
        return PoisonedBatch(**parts, positions=list(positions), poison=poison)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        total = super().loss(model, batch).total
        assert isinstance(batch, PoisonedBatch)
        if batch.poison is None:
            return Loss(total)
        scaled: Tensor = _Scaled.apply(total, batch.poison.gradient / batch.poison.loss)  # type: ignore[no-untyped-call]
        return Loss(scaled * batch.poison.loss)


class _Scaled(torch.autograd.Function):
    """A value as it is, with its gradient multiplied."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None]:
        return gradients[0] * ctx.factor, None
