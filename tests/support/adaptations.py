"""Settings of every strategy that adapts a model, at a size for tests."""

from __future__ import annotations

from typing import Any

from mtj_api.spec import Training

PEFT: dict[str, Any] = {"rank": 4, "alpha": 8.0, "bottleneck": 3, "tokens": 5}
SELECTIVE: dict[str, Any] = {"last_blocks": 1}
STRATEGIES = ("lora", "dora", "ia3", "adapter", "prompt", "selective")


def training(strategy: str, **settings: Any) -> Training:
    """``spec.training`` of a strategy, with settings of its own group instead of these."""
    if strategy == "selective":
        return Training.model_validate({"strategy": strategy, "selective": settings or SELECTIVE})
    return Training.model_validate({"strategy": strategy, "peft": {**PEFT, **settings}})
