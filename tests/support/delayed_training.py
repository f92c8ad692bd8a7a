"""The training stage, held up in one of its phases: ``python -m support.delayed_training FOLDER PHASE --job FILE``.

Whoever comes to where it is held up leaves ``FOLDER/reached-RANK``.

    loading     making the model takes a while
    data        the data of the fourth step never comes, on rank 1
    validating  each batch of validation takes a while
    saving      storing a checkpoint takes a while
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from mtj_trainer.families.symbolic import family
from mtj_trainer.families.symbolic.family import SymbolicFamily
from mtj_trainer.stage import run_stage
from mtj_trainer.train.__main__ import train
from mtj_trainer.train.checkpoint import CheckpointFolder

A_WHILE = 2.0
STEPS_BEFORE = 3
BATCH = 4
"""Sequences a step of the job in ``test_gang_training``."""


def hold_up(phase: str, reached: Callable[[], None]) -> None:
    """Have everything that does the phase reach it first, and take its time."""
    family.VALIDATION_ROWS = 1  # several batches
    owner, name = {
        "loading": (SymbolicFamily, "model"),
        "data": (SymbolicFamily, "batch"),
        "validating": (SymbolicFamily, "judge"),
        "saving": (CheckpointFolder, "_store"),
    }[phase]
    does = getattr(owner, name)

    def held_up(self: Any, *arguments: Any) -> Any:
        if phase == "data":
            if rank() == 1 and arguments[0][0] >= STEPS_BEFORE * BATCH:
                reached()
                data_that_never_comes()
        elif phase != "validating" or not torch.is_grad_enabled():  # training judges too
            reached()
            time.sleep(A_WHILE)
        return does(self, *arguments)

    setattr(owner, name, held_up)


def data_that_never_comes() -> None:
    """By its name it is known in a stack."""
    threading.Event().wait()


def rank() -> int:
    return int(os.environ["RANK"])


if __name__ == "__main__":
    folder, phase = sys.argv[1:3]
    del sys.argv[1:3]
    hold_up(phase, (Path(folder) / f"reached-{rank()}").touch)
    run_stage(train, saves_itself=True, has_gang=True)
