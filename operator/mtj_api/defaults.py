"""The guide's tables: what a good default is, by strategy and by the model's size.

Source: "Training Hyperparameters" and "Recommended Settings by Model Size" of the training guide. Where the
guide gives a range, the end that is taken is said beside the figure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from mtj_api.spec.model import SizeClass
from mtj_api.spec.training import Strategy


@dataclass(frozen=True)
class SizeRow:
    """A row of the size table.

    Attributes:
        below: the row is for fewer parameters than this.
        batch: sequences a step; the lower end of the guide's range, which fits more machines.
        finetune_rate: learning rate of fine-tuning.
        full_rate: learning rate from scratch: the guide's 1e-3 to 5e-4, falling with size.
        dropout: the guide's 0.1 to 0.3; larger models get less, as they see more data a parameter.
        adaptation_rate: learning rate of what is added to a frozen model: the guide's 5e-4 to 1e-4, falling with size.
        lora_rank: the upper end of the guide's range.
    """

    below: float
    batch: int
    finetune_rate: float
    full_rate: float
    dropout: float
    adaptation_rate: float
    lora_rank: int


SIZES: dict[SizeClass, SizeRow] = {
    "small": SizeRow(500e6, 32, 5e-5, 1e-3, 0.1, 5e-4, 8),
    "medium": SizeRow(2e9, 16, 2e-5, 7e-4, 0.1, 3e-4, 16),
    "large": SizeRow(10e9, 4, 1e-5, 5e-4, 0.1, 2e-4, 32),
    "xl": SizeRow(float("inf"), 1, 5e-6, 5e-4, 0.1, 1e-4, 64),
}


@dataclass(frozen=True)
class StrategyRow:
    """What the guide says of a strategy.

    Attributes:
        decay: how the learning rate falls.
        weight_decay: full 0.01 to 0.1, fine-tuning 0.001 to 0.01; the upper end, for small data sets. What adapts a
            frozen model is fine-tuning in this.
        weight_decay_bounds: the same as the guide writes it.
        rate_bounds: learning rates beyond which a colleague would ask; wider than the guide's.
        rate_range: the same as the guide writes it.
        hours: music that it needs at least.
    """

    decay: Literal["cosine", "linear"]
    weight_decay: float
    weight_decay_bounds: str
    rate_bounds: tuple[float, float]
    rate_range: str
    hours: float


_ADAPTATION = StrategyRow("linear", 0.01, "0.001 to 0.01", (5e-5, 2e-3), "1e-4 to 5e-4", 0.5)

STRATEGIES: dict[Strategy, StrategyRow] = {
    "full": StrategyRow("cosine", 0.1, "0.01 to 0.1", (1e-4, 2e-3), "5e-4 to 1e-3", 50.0),
    "finetune": StrategyRow("linear", 0.01, "0.001 to 0.01", (5e-6, 1e-4), "1e-5 to 5e-5", 1.0),
    "selective": StrategyRow("linear", 0.01, "0.001 to 0.01", (5e-6, 1e-3), "1e-5 to 5e-5", 0.5),
    "lora": _ADAPTATION,
    "dora": _ADAPTATION,
    "ia3": replace(_ADAPTATION, rate_bounds=(5e-5, 1e-2)),
    "adapter": _ADAPTATION,
    "prompt": replace(_ADAPTATION, rate_bounds=(5e-5, 1e-1)),
}

CHECKPOINT_STEPS = 1000
"""The guide saves every 1000 to 5000 steps."""


GUIDE_DEFAULTS: dict[str, str] = {
    "spec.dataset.audio.bit_depth": "default (guide: 16 or 24 bit)",
    "spec.dataset.audio.loudness_lufs": "default (guide: -14 LUFS)",
    "spec.dataset.audio.trim_silence": "default (guide: remove silence at both ends)",
    "spec.dataset.audio.fade_seconds": "default (guide: fade in and out, against clicks)",
    "spec.dataset.audio.segment.min_seconds": "default (guide: 10 to 30 seconds)",
    "spec.dataset.audio.segment.max_seconds": "default (guide: 10 to 30 seconds)",
    "spec.dataset.audio.segment.overlap_seconds": "default (guide: overlapping segments)",
    "spec.dataset.audio.segment.boundaries": "default (guide: complete musical phrases)",
    "spec.dataset.split.train": "default (guide: 80 %)",
    "spec.dataset.split.validation": "default (guide: 10 %)",
    "spec.dataset.split.test": "default (guide: 10 %)",
    "spec.dataset.split.keep_together": "default (guide: artists and albums apart)",
    "spec.training.precision": "default (guide: mixed precision)",
    "spec.training.optimizer.gradient_clip": "default (guide: 1.0 to 5.0)",
    "spec.training.regularization.weight_averaging": "default (guide: average the weights)",
}
"""Why the fixed defaults that come from the guide are what they are, by attribute path."""


def size_class(parameters: int) -> SizeClass:
    """The row of the size table for a model of so many parameters."""
    return next(name for name, row in SIZES.items() if parameters < row.below)
