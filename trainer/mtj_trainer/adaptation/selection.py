"""Selective fine-tuning: some of a model's own weights are trained, and the others rest."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from mtj_api import JobError
from mtj_api.spec import Training
from mtj_trainer.adaptation.freeze import freeze
from mtj_trainer.adaptation.targets import Targets

WHERE = "spec.training.selective"
NORMS = (nn.LayerNorm, nn.RMSNorm, nn.GroupNorm)


@dataclass(frozen=True)
class Selection:
    """Weights that are trained.

    Attributes:
        weights: their names.
    """

    weights: tuple[str, ...]

    def apply(self, model: nn.Module) -> None:
        """See ``Adaptation.apply``."""
        freeze(model)
        for name in self.weights:
            model.get_parameter(name).requires_grad_()

    def stored_name(self, name: str) -> str:
        """See ``Adaptation.stored_name``."""
        return name


def selection(model: nn.Module, settings: Training, targets: Targets) -> Selection:
    """The weights that strategy selective trains: whatever any of its settings names, in the model's order.

    Blocks, biases and norms are the decoder's; patterns go over all of the model that is trained.

    Raises:
        JobError: a setting names nothing.
    """
    wanted = settings.selective
    names = [name for name, _ in model.named_parameters()]
    chosen: set[str] = set()
    for pattern in wanted.patterns:
        matched = fnmatch.filter(names, pattern)
        if not matched:
            raise JobError(
                f"no weight is named {pattern}",
                where=f"{WHERE}.patterns",
                instead=f"write * for any characters in names like {', '.join(_kinds(model, targets))}",
            )
        chosen.update(matched)
    blocks = targets.blocks_of(model)
    if wanted.last_blocks > len(blocks):
        raise JobError(
            f"the model has {len(blocks)} blocks", where=f"{WHERE}.lastBlocks", instead=f"write {len(blocks)} at most"
        )
    for index in range(len(blocks) - wanted.last_blocks, len(blocks)):
        chosen.update(f"{targets.blocks_path}.{index}.{name}" for name, _ in blocks[index].named_parameters())
    decoder = [name for name in names if name.startswith(f"{targets.decoder}.")]
    if wanted.biases:
        chosen.update(_found([name for name in decoder if name.endswith(".bias")], "biases"))
    if wanted.norms:
        normed = [name for name in decoder if isinstance(model.get_submodule(name.rpartition(".")[0]), NORMS)]
        chosen.update(_found(normed, "norms"))
    return Selection(tuple(name for name in names if name in chosen))


def _found(names: list[str], setting: str) -> list[str]:
    if not names:
        raise JobError(
            f"the model has no {setting}", where=f"{WHERE}.{setting}", instead="leave it out, and write lastBlocks"
        )
    return names


def _kinds(model: nn.Module, targets: Targets) -> Iterator[str]:
    """The names of the weights, those of the first block for all blocks."""
    path = f"{targets.blocks_path}."
    for name, _ in model.named_parameters():
        if not name.startswith(path) or name.startswith(f"{path}0."):
            yield name
