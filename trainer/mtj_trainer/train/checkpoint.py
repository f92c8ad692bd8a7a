"""The whole state of a training run as files, so that a lost process costs the steps since the last one.

A checkpoint is a folder ``step-00001000`` with ``weights.safetensors``, ``averaged.safetensors``, ``optimizer.pt``
and ``state.json``. The last is written last and deleted first: a folder with a ``state.json`` is complete.
All that is random follows from the seed and the step (``reseed``), and all that is read follows from the position
in the data, so that a resumed run computes what it would have computed, bit for bit.
"""

from __future__ import annotations

import io
import json
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from mtj_trainer.storage import Storage

STATE, WEIGHTS, AVERAGED, OPTIMIZER = "state.json", "weights.safetensors", "averaged.safetensors", "optimizer.pt"


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
        best_loss, best_step: the best validation loss so far.
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
    best_loss: float | None = None
    best_step: int | None = None


@dataclass(frozen=True)
class Restored:
    """What ``CheckpointFolder.load_latest`` found."""

    state: RunState
    weights: dict[str, Tensor]
    averaged: dict[str, Tensor]
    optimizer: dict[str, Any]


@dataclass(frozen=True)
class Complete:
    """A checkpoint that a run can go on from."""

    step: int
    url: str


class CheckpointFolder:
    """The checkpoints of one run.

    Writing happens in a thread while training goes on; the tensors are copied first. One is written at a time.

    Args:
        folder: where they lie.
        keep: how many of the newest are kept.

    Attributes:
        latest: the newest one that is complete, as far as this process has read or written one.
    """

    def __init__(self, folder: Storage, keep: int) -> None:
        self.folder = folder
        self._keep = keep
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None
        self.latest: Complete | None = None

    def complete_steps(self) -> list[int]:
        """Steps of the complete checkpoints, oldest first."""
        found = (entry.key.split("/") for entry in self.folder.list())
        return sorted(int(parts[0][5:]) for parts in found if len(parts) == 2 and parts[1] == STATE)

    def load_latest(self) -> Restored | None:
        """The newest complete checkpoint, or ``None`` where there is none."""
        steps = self.complete_steps()
        if not steps:
            return None
        folder = self.folder.child(_name(steps[-1]))
        self.latest = Complete(steps[-1], folder.url)
        return Restored(
            state=RunState(**json.loads(folder.read(STATE))),
            weights=load_tensors(folder.read(WEIGHTS)),
            averaged=load_tensors(folder.read(AVERAGED)),
            optimizer=torch.load(io.BytesIO(folder.read(OPTIMIZER)), map_location="cpu", weights_only=True),
        )

    def save(
        self,
        state: RunState,
        weights: dict[str, Tensor],
        averaged: dict[str, Tensor],
        optimizer: dict[str, Any],
    ) -> None:
        """Copy everything now and write it behind the training's back; waits for the write before it."""
        self.wait()
        snapshot = Restored(RunState(**asdict(state)), _copied(weights), _copied(averaged), _copied(optimizer))
        self._writing = self._pool.submit(self._write, snapshot)

    def wait(self) -> None:
        """Until everything saved is written; raises what went wrong in writing."""
        if self._writing is not None:
            self._writing.result()
            self._writing = None

    def _write(self, snapshot: Restored) -> None:
        folder = self.folder.child(_name(snapshot.state.step))
        folder.write(WEIGHTS, save_tensors(snapshot.weights))
        folder.write(AVERAGED, save_tensors(snapshot.averaged))
        buffer = io.BytesIO()
        torch.save(snapshot.optimizer, buffer)
        folder.write(OPTIMIZER, buffer.getvalue())
        folder.write(STATE, (json.dumps(asdict(snapshot.state), indent=2) + "\n").encode())
        self.latest = Complete(snapshot.state.step, folder.url)
        for step in self.complete_steps()[: -self._keep]:
            self.folder.delete(f"{_name(step)}/{STATE}")
            self.folder.delete_tree(_name(step))


def reseed(seed: int, step: int, rank: int) -> None:
    """Set every random state of this process to what belongs to this step."""
    torch.manual_seed((seed * 1_000_003 + step) * 65_537 + rank)


def _name(step: int) -> str:
    return f"step-{step:08d}"


def _copied(value: Any) -> Any:
    """A copy on the CPU that later training steps do not touch."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True).contiguous()
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copied(item) for item in value]
    return value
