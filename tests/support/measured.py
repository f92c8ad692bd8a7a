"""How much memory a training process takes: small data of each family, and the peak as the system counts it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from mtj_api import MusicTrainingJob, parse_job, resolved_json

ENVIRONMENT = {"OMP_NUM_THREADS": "1"}

WAIT = """
import os, sys
pid = os.spawnve(os.P_NOWAIT, sys.executable, [sys.executable, *sys.argv[1:]], os.environ)
_, status, usage = os.wait4(pid, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_maxrss)
"""
"""Starts a process from a small one: the system counts what the starter held at the start as the started one's."""


def job_of(folder: Path, spec: Mapping[str, Any]) -> MusicTrainingJob:
    """A resolved job with its data and its output below ``folder``."""
    document = {
        "apiVersion": "training.discomusica.io/v1alpha1",
        "kind": "MusicTrainingJob",
        "metadata": {"name": "measured"},
        "spec": {
            **spec,
            "dataset": {"source": f"{folder}/music", "cache": f"{folder}/data", **spec.get("dataset", {})},
            "monitoring": {"metricsPort": 0, "tensorboard": False},
            "output": f"{folder}/out",
        },
    }
    return parse_job(json.dumps(document)).job


def prepare_once(folder: Path, job: MusicTrainingJob) -> None:
    """Make a little music of the job's family and prepare it, in a process of its own."""
    _run_here("prepare", str(_written(folder, job)), str(folder / "music"))


def peak_bytes(job: MusicTrainingJob, processes: int = 1) -> int:
    """The largest resident memory of a training process of a job whose data is prepared.

    Args:
        job: trains a few steps; its checkpoints are thrown away.
        processes: how many train together, under the launcher.
    """
    with tempfile.TemporaryDirectory(prefix="measured-") as name:
        job = job.model_copy(deep=True)
        job.spec.checkpoint.url = f"{name}/checkpoints"
        command = ["-m", "mtj_trainer.train", "--job", str(_written(Path(name), job))]
        if processes > 1:
            command = ["-m", "mtj_trainer.train.launch", "--standalone", "--nproc-per-node", str(processes), *command]
        done = subprocess.run(
            [sys.executable, "-c", WAIT, *command],
            env={**os.environ, **ENVIRONMENT, "MTJ_WORK_DIR": name},
            capture_output=True,
            text=True,
            check=True,
        )
    status, kibibytes = (int(word) for word in done.stdout.split()[-2:])
    if status:
        raise RuntimeError(f"training ended with {status}: {done.stderr[-2000:]}")
    return kibibytes << 10


def _written(folder: Path, job: MusicTrainingJob) -> Path:
    path = folder / "job.json"
    path.write_text(resolved_json(job))
    return path


def _run_here(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "support.measured", *arguments], check=True, env={**os.environ, **ENVIRONMENT})


def _prepare(job_file: str, music: str) -> None:
    from mtj_api import read_resolved_job
    from mtj_trainer.prepare.driver import prepare
    from mtj_trainer.prepare.pool import WorkerPool
    from mtj_trainer.storage import open_storage
    from support import music_folder
    from support.finished import ThisProcess
    from support.scores import chorale, midi_bytes

    job, source = read_resolved_job(Path(job_file)), open_storage(music)
    assert job.spec.model is not None
    for number in range(10):
        if job.spec.model.family == "symbolic":
            source.write(f"{number}.mid", midi_bytes(chorale(bars=80, root=55 + number)))
        else:
            source.write(f"{number}.wav", music_folder.recording(40, rate=16_000, channels=1, seed=number))
    record = prepare(job, cast(WorkerPool, ThisProcess()))
    open_storage(job.spec.output).write("stages/prepare.json", json.dumps(record).encode())


if __name__ == "__main__":
    _prepare(*sys.argv[2:])
