"""How gradients are computed and applied on many processes, behind one interface.

DistributedDataParallel, which holds everything everywhere, FSDP, which divides it, or DeepSpeed's ZeRO, which divides
more or less of it.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from mtj_api.spec import Training
from mtj_trainer.train.distributed import World
from mtj_trainer.train.engine.ddp import DdpEngine
from mtj_trainer.train.engine.engine import Engine, Judge, OptimizerState, Weights

__all__ = ["Engine", "Judge", "OptimizerState", "Weights", "make_engine"]


def make_engine(
    model: nn.Module, blocks: Iterable[nn.Module], settings: Training, world: World, precision: str
) -> Engine:
    """The engine that a resolved job's training asks for.

    Args:
        model: on this process's device.
        blocks: see ``Family.blocks``.
        settings: of the job.
        world: this process's place.
        precision: what passes are computed in.
    """
    if settings.engine == "deepspeed":
        from mtj_trainer.train.engine.zero import ZeroEngine  # its import takes seconds

        return ZeroEngine(model, settings, world, precision)
    if settings.engine == "fsdp" and world.size > 1:  # one process has nothing to divide
        from mtj_trainer.train.engine.fsdp import FsdpEngine

        return FsdpEngine(model, blocks, settings.optimizer, world)
    return DdpEngine(model, settings.optimizer, world, precision)
