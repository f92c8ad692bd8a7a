"""Bottleneck adapters: a narrow feed-forward layer after a frozen one (Houlsby et al. 2019, arXiv 1902.00751).

By default one a block, after its feed-forward layer (Pfeiffer et al. 2021, arXiv 2005.00247), which does as well as
Houlsby's with half of the weights; for his, write ``targets: [out_proj, fc2]``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from mtj_api.spec import Training
from mtj_trainer.adaptation.freeze import freeze
from mtj_trainer.adaptation.targets import Targets


class Bottleneck(nn.Module):
    """(..., width) to (..., width) through ``bottleneck`` features, added to what comes in; at first it adds 0."""

    def __init__(self, width: int, bottleneck: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, bottleneck)
        self.up = nn.Linear(bottleneck, width)
        nn.init.normal_(self.down.weight, std=0.02)
        for zero in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(zero)

    def forward(self, hidden: Tensor) -> Tensor:
        added: Tensor = self.up(F.gelu(self.down(hidden)))
        return hidden + added


@dataclass(frozen=True)
class Bottlenecks:
    """Adapters, each a child ``adapter`` of the linear layer that it follows: no frozen weight changes its name.

    Attributes:
        layers: names of the linear layers that are followed by one.
        bottleneck: width of an adapter.
    """

    layers: tuple[str, ...]
    bottleneck: int

    def apply(self, model: nn.Module) -> None:
        """See ``Adaptation.apply``. What is drawn follows from PyTorch's random state."""
        freeze(model)
        for name in self.layers:
            layer = model.get_submodule(name)
            assert isinstance(layer, nn.Linear)
            layer.adapter = Bottleneck(layer.out_features, self.bottleneck).to(layer.weight.device)
            layer.register_forward_hook(_adapted)

    def stored_name(self, name: str) -> str:
        """See ``Adaptation.stored_name``."""
        return name


def bottlenecks(model: nn.Module, settings: Training, targets: Targets) -> Bottlenecks:
    """What strategy adapter adds.

    Raises:
        JobError: a target is not there.
    """
    layers = targets.linear(model, settings.peft.targets or targets.followed)
    return Bottlenecks(tuple(layers), settings.peft.bottleneck)


def _adapted(layer: nn.Module, _inputs: object, output: Tensor) -> Tensor:
    adapted: Tensor = layer.adapter(output)
    return adapted
