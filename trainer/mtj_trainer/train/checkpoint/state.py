"""What a checkpoint holds, and what is known of checkpoints.

All that is random follows from the seed and the step (``reseed``), and all that is read follows from the position in
the data, so that a resumed run computes what it would have computed, bit for bit.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from mtj_trainer.train.bad_steps import StepHistory

STATE, WEIGHTS, AVERAGED, OPTIMIZER = "state.json", "weights.safetensors", "averaged.safetensors", "optimizer.pt"
FILES = (OPTIMIZER, WEIGHTS, AVERAGED, STATE)
"""All of a checkpoint but its manifest, in the order in which they are written: the largest first."""


@dataclass
class RunState:
    """Where a run stands, apart from its tensors.

    Attributes:
        step: optimizer steps done; the next learning rate follows from it.
        position: training examples consumed.
        seed: from which, with the step, all random states follow.
        precision: what the run computes with; a resumed run keeps it, wherever it goes on.
        counted: predictions trained on so far, such as tokens.
        seconds: time spent in training.
        waited_seconds: of these, the time spent waiting for data.
        loss: as it was last logged.
        window, window_counted: the loss and its terms since the last logged step, as sums and what they are sums over.
        validation_loss, validation_step: the newest validation loss, and when it was measured.
        best_loss, best_step: the best validation loss so far.
        history: of its steps, by which the next ones are judged.
        validation_due: whether the validation of this step was broken off.
        saved: when this was taken down for a checkpoint (RFC 3339).
    """

    step: int = 0
    position: int = 0
    seed: int = 0
    precision: str = "fp32"
    counted: int = 0
    seconds: float = 0.0
    waited_seconds: float = 0.0
    loss: float | None = None
    window: dict[str, float] = field(default_factory=dict)
    window_counted: int = 0
    validation_loss: float | None = None
    validation_step: int | None = None
    best_loss: float | None = None
    best_step: int | None = None
    history: StepHistory = field(default_factory=StepHistory)
    validation_due: bool = False
    saved: str = ""

    @classmethod
    def read(cls, text: bytes) -> RunState:
        """What ``written`` made."""
        found = json.loads(text)
        return cls(**{**found, "history": StepHistory(**found.get("history", {}))})

    def written(self) -> bytes:
        """As JSON."""
        return (json.dumps(asdict(self), indent=2) + "\n").encode()


@dataclass(frozen=True)
class Restored:
    """What ``CheckpointFolder.load_latest`` found."""

    state: RunState
    weights: dict[str, Tensor]
    averaged: dict[str, Tensor]
    optimizer: dict[str, Any]


@dataclass(frozen=True)
class Complete:
    """A checkpoint that a run can go on from, and when its state was taken down (RFC 3339; empty if not known)."""

    step: int
    url: str
    time: str = ""


@dataclass(frozen=True)
class Faults:
    """What went wrong with checkpoints in this process.

    Attributes:
        failed: tries to write one that failed.
        damaged: those that were passed over in reading.
    """

    failed: int = 0
    damaged: int = 0


def reseed(seed: int, step: int, rank: int) -> None:
    """Set every random state of this process to what belongs to this step."""
    torch.manual_seed(((seed * 1_000_003 + step) * 65_537 + rank) % 2**64)
