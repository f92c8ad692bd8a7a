"""What a forward pass itself changes in a model, such as codebooks that follow their inputs, and how it is undone."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Buffers:
    """The buffers of a model that belong to its state.

    Args:
        model: on its device.
    """

    def __init__(self, model: nn.Module) -> None:
        saved = model.state_dict(keep_vars=True)
        self._own: list[Tensor] = [buffer for name, buffer in model.named_buffers() if name in saved]
        self._before: list[Tensor] = []

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._own)

    def remember(self) -> None:
        """Take them down as they are now."""
        self._before = [buffer.clone() for buffer in self._own]

    @torch.no_grad()
    def restore(self, undo: Tensor) -> None:
        """Give them back what was remembered, if ``undo``, a scalar on their device, is true; nothing waits for it."""
        for buffer, before in zip(self._own, self._before, strict=True):
            buffer.copy_(torch.where(undo, before, buffer))
