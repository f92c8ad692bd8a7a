"""``python -m mtj_trainer.wait --job FILE``: wait until the jobs are done that a job takes its model or data from.

Only on one machine; on a cluster the operator waits, and no pod stands idle. Invariant: the stage ends well only when
what is wanted is there, and is not about to be made anew by a run that is under way.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from mtj_api import JobError, MusicTrainingJob
from mtj_api.contract import LOCK_FILE
from mtj_api.waits import Awaited, read_waits
from mtj_trainer.progress import Progress
from mtj_trainer.stage import run_stage, work_dir
from mtj_trainer.storage import open_storage

_EVERY = 1.0
"""Seconds between two looks."""

_BEFORE_DATA = ("", "wait", "prepare")
"""Stages at which the data of a job that runs may still change."""


def wait(_job: MusicTrainingJob) -> None:
    """Wait for the jobs that a job takes its model or data from."""
    for awaited in read_waits(work_dir()):
        wait_for(awaited)


def wait_for(awaited: Awaited) -> None:
    """Return when the result of a job is there.

    Raises:
        JobError: it is not, and nobody is at work on it.
    """
    progress, told = Progress("wait", 1), None
    while True:
        stage = stage_under_way(Path(awaited.work_dir))
        if stage is None or (awaited.stage == "prepare" and stage not in _BEFORE_DATA):
            break
        if stage != told:
            told = stage
            progress.say(f"waits for job {awaited.job}, which {f'is at stage {stage}' if stage else 'begins'}")
        time.sleep(_EVERY)
    if not open_storage(awaited.output).exists(f"stages/{awaited.stage}.json"):
        result = "prepared its data" if awaited.stage == "prepare" else "published a model"
        raise JobError(
            f"job {awaited.job} does not run and has not {result}",
            where=f"{awaited.field}.job",
            instead=f"run it to its end: {awaited.command}",
        )
    progress.say(f"job {awaited.job} has what is wanted")


def stage_under_way(folder: Path) -> str | None:
    """The stage of the job with this work folder; empty where it is not known yet, ``None`` where it does not run."""
    try:
        lock = os.open(folder / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        lines = os.pread(lock, 128, 0).decode(errors="replace").split("\n")
        return lines[1] if len(lines) > 2 else ""
    else:
        return None
    finally:
        os.close(lock)


if __name__ == "__main__":
    run_stage(wait)
