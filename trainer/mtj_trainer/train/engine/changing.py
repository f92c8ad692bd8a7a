"""What training changes of a model: all of it, or what is not frozen.

Only that is averaged, gathered and written into checkpoints, so that a run that adapts a large model holds the large
part once. Buffers are the frozen model's as soon as any weight is frozen.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from mtj_api import JobError
from mtj_trainer.train.engine.engine import Weights


def is_partly_frozen(model: nn.Module) -> bool:
    """Whether there are weights that training leaves as they are."""
    return not all(parameter.requires_grad for parameter in model.parameters())


def changing(model: nn.Module) -> Weights:
    """The tensors themselves that training changes, by name."""
    if not is_partly_frozen(model):
        return model.state_dict()
    return {name: parameter.detach() for name, parameter in model.named_parameters() if parameter.requires_grad}


def check_names(expected: Mapping[str, object], found: Mapping[str, object]) -> None:
    """Whether weights are those that training changes, no more and no less.

    Raises:
        JobError: they are not.
    """
    if expected.keys() != found.keys():
        missing, unknown = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
        raise JobError(
            f"these weights are not what is trained (missing {missing[:3]}, unknown {unknown[:3]})",
            where="spec.checkpoint.url",
            instead="go on with the settings that they were saved with",
        )


def put(model: nn.Module, weights: Weights) -> None:
    """Give a model values for all that training changes.

    Raises:
        JobError: the names are others.
        RuntimeError: the shapes are.
    """
    check_names(changing(model), weights)
    model.load_state_dict(weights, strict=False)
