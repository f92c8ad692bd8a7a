"""Dropout that costs little on CPU.

torch draws a float for each value there, one after the other, which took a tenth of a training step. Here a draw of
64 bits decides over four values, to a resolution of 2^-16. On a GPU torch's own dropout is used.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_LEVELS = 1 << 16


class Dropout(nn.Module):
    """Sets values to zero with a probability, and scales the others so that the mean stays, while training.

    Args:
        probability: of each value, from 0 to below 1.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability
        self._dropped = round(probability * _LEVELS)

    def forward(self, values: Tensor) -> Tensor:
        if not self.training or self._dropped == 0:
            return values
        if values.device.type != "cpu":
            return F.dropout(values, self.probability)
        count = values.numel()
        drawn = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(1 << 63), None).view(torch.int16)
        kept = drawn[:count].view(values.shape) >= self._dropped - _LEVELS // 2
        result: Tensor = _Masked.apply(values, kept, _LEVELS / (_LEVELS - self._dropped))  # type: ignore[no-untyped-call]
        return result


class _Masked(torch.autograd.Function):
    """Keeps a mask of one byte a value for the backward pass, and not the values."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, kept: Tensor, scale: float) -> Tensor:
        ctx.save_for_backward(kept)
        ctx.scale = scale
        return (values * kept).mul_(scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (kept,) = ctx.saved_tensors
        return (gradients[0] * kept).mul_(ctx.scale), None, None
