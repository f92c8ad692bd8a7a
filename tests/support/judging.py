"""Verdicts on steps, for tests of engines alone; the training loop has its own."""

from __future__ import annotations

import torch
from torch import Tensor


def every_step_is_good(norm: Tensor, _overflowed: Tensor | None) -> Tensor:
    """Leaves nothing out: what an engine's ``step`` asks for."""
    return torch.zeros((), device=norm.device)
