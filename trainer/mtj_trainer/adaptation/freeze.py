"""A model's own weights at rest."""

from __future__ import annotations

from torch import nn


def freeze(model: nn.Module) -> None:
    """No weight of the model, as it is now, asks for a gradient any more."""
    for parameter in model.parameters():
        parameter.requires_grad_(requires_grad=False)
