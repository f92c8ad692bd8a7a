"""The whole state of a training run as files, so that a lost process costs the steps since the last one.

A checkpoint is a folder ``step-00001000`` with ``weights.safetensors``, ``averaged.safetensors``, ``optimizer.pt``
and ``state.json``. The last is written last and deleted first: a folder with a ``state.json`` is complete.
All that is random follows from the seed and the step (``reseed``), and all that is read follows from the position
in the data, so that a resumed run computes what it would have computed, bit for bit.
"""

from __future__ import annotations

import json
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from mtj_trainer.stage import work_dir
from mtj_trainer.storage import Storage
from mtj_trainer.tensors import save_tensors

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
    best_loss: float | None = None
    best_step: int | None = None
    validation_due: bool = False
    saved: str = ""


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


class CheckpointFolder:
    """The checkpoints of one run.

    Storing happens in a thread while training goes on, one checkpoint at a time. Tensors in the machine's memory are
    first written to its own disk, while training waits: a copy in memory would be as large as the whole training
    state, next to the next step. Those of a GPU are copied into the machine's memory, and training goes on at once.

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
        state = RunState(**json.loads(folder.read(STATE)))
        self.latest = Complete(steps[-1], folder.url, state.saved)
        with tempfile.TemporaryDirectory(prefix="checkpoint-", dir=work_dir()) as path:
            weights, averaged, optimizer = (
                folder.fetch(key, Path(path) / key) for key in (WEIGHTS, AVERAGED, OPTIMIZER)
            )
            # Mapped, not read: model and optimizer copy from the files what they take up, and memory holds it once.
            return Restored(
                state=state,
                weights=load_file(weights),
                averaged=load_file(averaged),
                optimizer=torch.load(optimizer, map_location="cpu", mmap=True, weights_only=True),
            )

    def save(
        self,
        state: RunState,
        weights: dict[str, Tensor],
        averaged: dict[str, Tensor],
        optimizer: dict[str, Any],
    ) -> None:
        """Take down everything as it is now, and store it behind the training's back; waits for the one before it."""
        self.wait()
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        local = tempfile.TemporaryDirectory(prefix="checkpoint-", dir=work_dir())
        contents = {WEIGHTS: weights, AVERAGED: averaged, OPTIMIZER: optimizer}
        if any(tensor.device.type != "cpu" for tensor in weights.values()):
            contents = _copied(contents)
        else:
            _write(contents, Path(local.name))
        self._writing = self._pool.submit(self._store, replace(state, saved=now), contents, local)

    def wait(self) -> None:
        """Until everything saved is written; raises what went wrong in writing."""
        if self._writing is not None:
            self._writing.result()
            self._writing = None

    def _store(self, state: RunState, contents: dict[str, Any], local: tempfile.TemporaryDirectory[str]) -> None:
        folder = self.folder.child(_name(state.step))
        with local as path:
            _write(contents, Path(path))
            for key in (WEIGHTS, AVERAGED, OPTIMIZER):
                folder.write(key, Path(path) / key)
        folder.write(STATE, (json.dumps(asdict(state), indent=2) + "\n").encode())
        self.latest = Complete(state.step, folder.url, state.saved)
        for step in self.complete_steps()[: -self._keep]:
            self.folder.delete(f"{_name(step)}/{STATE}")
            self.folder.delete_tree(_name(step))


def reseed(seed: int, step: int, rank: int) -> None:
    """Set every random state of this process to what belongs to this step."""
    torch.manual_seed((seed * 1_000_003 + step) * 65_537 + rank)


def _name(step: int) -> str:
    return f"step-{step:08d}"


def _write(contents: dict[str, Any], folder: Path) -> None:
    """Write each of the contents to the file of its name, the largest first, and let go of it."""
    if OPTIMIZER in contents:
        torch.save(contents.pop(OPTIMIZER), folder / OPTIMIZER)
    for key in list(contents):
        save_tensors(contents.pop(key), folder / key)


def _copied(value: Any) -> Any:
    """A copy on the CPU that later training steps do not touch."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True).contiguous()
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copied(item) for item in value]
    return value
