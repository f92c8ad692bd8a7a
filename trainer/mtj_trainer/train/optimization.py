"""AdamW, its schedule, and the moving average of the weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from mtj_api.spec import Optimizer, Schedule


def make_optimizer(model: nn.Module, settings: Optimizer) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101) that decays matrices, not gains, whatever their shape."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if not _is_gain(p)], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if _is_gain(p)], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(settings.beta1, settings.beta2), fused=True)


def learning_rate(step: int, steps: int, peak: float, schedule: Schedule) -> float:
    """The rate of step ``step`` (from 0) of ``steps``: linear warm-up, then decay to ``final_ratio`` of the peak."""
    if step < schedule.warmup_steps:
        return peak * (step + 1) / schedule.warmup_steps
    through = (step - schedule.warmup_steps) / max(1, steps - 1 - schedule.warmup_steps)
    through = min(1.0, through)
    remaining = {
        "cosine": 0.5 * (1.0 + math.cos(math.pi * through)),
        "linear": 1.0 - through,
        "constant": 1.0,
    }[schedule.decay]
    return peak * (schedule.final_ratio + (1.0 - schedule.final_ratio) * remaining)


def _is_gain(parameter: Tensor) -> bool:
    """Whether it is one number a channel, such as a bias, or a gain of (channels, 1) as IA3 has it."""
    return sum(size > 1 for size in parameter.shape) < 2


class AveragedWeights:
    """An exponential moving average of the weights, which is what is evaluated and published.

    The guide's "model weight averaging for final checkpoint". While training is young the average is over few
    steps: its decay is at most (1 + n) / (10 + n) after n updates.

    Args:
        parts: the weights that are followed, by name: all of them, or this process's parts; training changes them.
        decay: of the average; 0 follows the weights without averaging.
        refresh: is called when they were changed from here.
    """

    def __init__(self, parts: dict[str, Tensor], decay: float, refresh: Callable[[], None] = lambda: None) -> None:
        self._parts = parts
        self._decay = decay
        self._refresh = refresh
        self.weights: dict[str, Tensor] = {name: part.detach().clone() for name, part in parts.items()}

    @torch.no_grad()
    def update(self, updates: int) -> None:
        """Take up the weights after ``updates`` updates (from 0) before this one."""
        decay = min(self._decay, (1 + updates) / (10 + updates))
        torch._foreach_lerp_(list(self.weights.values()), list(self._parts.values()), 1.0 - decay)

    @torch.no_grad()
    def restore(self, weights: dict[str, Tensor]) -> None:
        """Take up an average that was saved."""
        for name, tensor in self.weights.items():
            tensor.copy_(weights[name])

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the model have the averaged weights for a while; it gets its own back bit for bit."""
        own = {name: part.detach().clone() for name, part in self._parts.items()}
        self._put(self.weights)
        try:
            yield
        finally:
            self._put(own)

    @torch.no_grad()
    def _put(self, weights: dict[str, Tensor]) -> None:
        for name, part in self._parts.items():
            part.copy_(weights[name])
        self._refresh()
