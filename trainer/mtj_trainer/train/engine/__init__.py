"""How gradients are computed and applied on many processes, behind one interface: DistributedDataParallel or ZeRO."""

from __future__ import annotations

from torch import nn

from mtj_api.spec import Training
from mtj_trainer.train.distributed import World
from mtj_trainer.train.engine.ddp import DdpEngine
from mtj_trainer.train.engine.engine import Engine, Judge, OptimizerState, Weights

__all__ = ["Engine", "Judge", "OptimizerState", "Weights", "make_engine"]


def make_engine(model: nn.Module, settings: Training, world: World, precision: str) -> Engine:
    """The engine that a resolved job's training asks for.

    Raises:
        JobError: it cannot train so.
    """
    if settings.engine == "deepspeed":
        from mtj_trainer.train.engine.zero import ZeroEngine  # its import takes seconds

        return ZeroEngine(model, settings, world, precision)
    return DdpEngine(model, settings.optimizer, world, precision)
