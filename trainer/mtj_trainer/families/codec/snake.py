"""Snake, DAC's activation, in few passes over memory: as transformers has it, it takes half of a training step on CPU.

snake(x) = x + sin(a x)^2 / a for a learned a of each channel (Ziyin et al. 2020, arXiv 2006.08195), which is
x + (1 - cos 2ax) / 2a, with the slope 1 + sin 2ax. The slope by a follows from input and output, so that nothing else
is kept: da = (dx x - dy y) / a, summed.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Snake(nn.Module):
    """Takes the place of transformers' ``Snake1d``, of which it has the parameter ``alpha``, (1, C, 1)."""

    def __init__(self, alpha: nn.Parameter) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, values: Tensor) -> Tensor:
        """(B, C, T), whose type it keeps."""
        result: Tensor = _Snake.apply(values, self.alpha)  # type: ignore[no-untyped-call]
        return result


def use_fast_snake(model: nn.Module) -> None:
    """Exchange every ``Snake1d`` within ``model``; its weights and their names stay."""
    from transformers.models.dac.modeling_dac import Snake1d

    for module in model.modules():
        for name, child in module.named_children():
            if isinstance(child, Snake1d):
                setattr(module, name, Snake(child.alpha))


class _Snake(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, alpha: Tensor) -> Tensor:
        doubled, halved = (2.0 * alpha).to(values.dtype), (0.5 / alpha).to(values.dtype)
        result = torch.empty_like(values)
        for value, out in zip(_portions(values), _portions(result), strict=True):
            torch.mul(value, doubled, out=out)
            out.cos_().neg_().add_(1.0).mul_(halved).add_(value)
        ctx.save_for_backward(values, alpha, result)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        values, alpha, result = ctx.saved_tensors
        doubled = (2.0 * alpha).to(values.dtype)
        slopes = torch.empty_like(values)
        by_alpha = torch.zeros_like(alpha)
        portions = zip(*(_portions(one) for one in (values, result, gradients[0], slopes)), strict=True)
        for value, out, gradient, slope in portions:
            torch.mul(value, doubled, out=slope)
            slope.sin_().add_(1.0).mul_(gradient)
            by_alpha += (slope * value - gradient * out).sum(dim=(0, 2), keepdim=True, dtype=alpha.dtype)
        return slopes, by_alpha / alpha


def _portions(values: Tensor) -> tuple[Tensor, ...]:
    """On CPU an example at a time, which stays in a core's cache from pass to pass."""
    return torch.split(values, 1) if values.device.type == "cpu" else (values,)
