"""Which numbers to compute with. ``auto`` is what this machine multiplies fastest at full quality: bf16 or fp32.

On a GPU that has it, bf16. On a CPU it is measured, since the instruction set does not say: processors that list
bf16 instructions but have no matrix unit for them (AMX) may multiply bf16 more slowly than fp32.
"""

from __future__ import annotations

import time

import torch

from mtj_api import JobError

NAMES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

_CLEARLY_FASTER = 1.2
"""bf16 also costs conversions around each product, so a tie is a loss."""


def choose_precision(wanted: str, device: torch.device, *, exact: bool = False) -> str:
    """``fp32``, ``bf16`` or ``fp16`` for a setting that may also be ``auto``, which is fp32 where ``exact``.

    Raises:
        JobError: fp16 without a GPU.
    """
    if wanted == "fp16" and device.type == "cpu":
        raise JobError("fp16 needs a GPU", where="spec.training.precision", instead="write auto, bf16 or fp32")
    if wanted != "auto":
        return wanted
    if exact:
        return "fp32"
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if _seconds(torch.float32) > _CLEARLY_FASTER * _seconds(torch.bfloat16) else "fp32"


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Mixed precision on ``device``; nothing is cast for fp32."""
    return torch.autocast(device.type, dtype=NAMES[precision], enabled=precision != "fp32")


def usual_device() -> torch.device:
    """The first GPU where there is one, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _seconds(dtype: torch.dtype) -> float:
    """The shortest of a few products of the shape of a feed-forward layer."""
    left, right = torch.ones(2048, 512, dtype=dtype), torch.ones(512, 2048, dtype=dtype)
    times = []
    for _ in range(5):
        began = time.perf_counter()
        left @ right
        times.append(time.perf_counter() - began)
    return min(times)
