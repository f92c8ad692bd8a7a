"""A look at numbers that a GPU is still to compute, which does not wait for it until they are wanted."""

from __future__ import annotations

import torch
from torch import Tensor


class Look:
    """A copy of a vector under way to the processor.

    Args:
        values: (N,) of any device; what happens to it afterwards does not matter.
    """

    def __init__(self, values: Tensor) -> None:
        self._copied: torch.cuda.Event | None = None
        if values.device.type != "cuda":
            self._values = values
            return
        self._values = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
        self._values.copy_(values, non_blocking=True)
        self._copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
        self._copied.record()

    def read(self) -> list[float]:
        """The numbers, once they are there."""
        if self._copied is not None:
            self._copied.synchronize()
        found: list[float] = self._values.tolist()
        return found
