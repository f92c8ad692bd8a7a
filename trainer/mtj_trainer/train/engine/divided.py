"""Weights of which each process holds a part: what FSDP and ZeRO 3 do with them alike, however each cuts them.

Invariant: parameters alone are cut. Buffers are every process's own, whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from mtj_trainer.train.distributed import World
from mtj_trainer.train.engine.changing import is_partly_frozen
from mtj_trainer.train.engine.engine import Weights


def with_buffers(parts: Weights, model: nn.Module, parameters: Mapping[str, object]) -> Weights:
    """This process's parts of what is trained, and the buffers besides where training changes them.

    Args:
        parts: of the parameters that are trained.
        model: that they are of.
        parameters: all of the model's, by name.
    """
    if is_partly_frozen(model):
        return parts
    return parts | {name: value for name, value in model.state_dict().items() if name not in parameters}


def gathered(
    parts: Weights, parameters: Mapping[str, object], gather: Callable[[str, Tensor], Tensor], world: World
) -> Weights:
    """Whole tensors, one at a time, in the first process's memory beside its GPU; the others keep none.

    Args:
        parts: this process's.
        parameters: all of the model's, by name.
        gather: makes the part of the parameter of a name whole, together with all processes.
        world: this process's place.
    """
    found = {}
    for name, part in parts.items():
        value = gather(name, part) if name in parameters else part
        if world.is_first:
            found[name] = value.to("cpu", copy=True)
    return found
