"""What a checkpoint every 50 steps costs, with the S3 server and its link on cores of their own and on the same ones.

Run ``python tests/scale/checkpoints.py DATASET_URL``: a real S3 server behind a link of some 60 MB a second, each a
process of its own. Training without checkpoints, with checkpoints that are stored beside it, and with checkpoints that
it waits for, in turn; medians of the rounds are compared. Prints one JSON object:

- ``cpu.*``: processor seconds of 50 steps, and of one checkpoint: the training process's (its own copies, checksums and
  sending), the server's and the link's;
- ``apart.*``: time that is lost where training has one core, and server and link have the others, as on a cluster.
  ``apart.cpu`` is the same by the training process's processor time, which other programs do not change;
- ``shared.*``: time that is lost where all of them share all cores, as on a laptop.

A loss is a part of the time of 50 steps. Linux alone lets threads be told their cores.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from mtj_api import parse_job
from mtj_trainer.families.symbolic.family import SymbolicFamily
from mtj_trainer.prepare.dataset import PreparedDataset
from mtj_trainer.storage import Storage, open_storage
from mtj_trainer.train.checkpoint import CheckpointFolder
from mtj_trainer.train.curves import Curves
from mtj_trainer.train.distributed import World
from mtj_trainer.train.loop import Intervals, Trainer
from mtj_trainer.train.metrics import TrainingMetrics
from mtj_trainer.train.observe import Observer

sys.path.insert(0, str(Path(__file__).parents[1]))
from support import seaweedfs
from support.s3_proxy import Fault, standing_between

EVERY, STEPS, ROUNDS, REPEATS = 50, 125, 3, 10
CHECKPOINTS = STEPS // EVERY
NEVER = 10**9

JOB = f"""
apiVersion: training.discomusica.io/v1alpha1
kind: MusicTrainingJob
metadata: {{name: bench}}
spec:
  dataset: {{importer: bach-chorales}}
  model: {{architecture: {{layers: 4, width: 192, heads: 3, context: 256}}}}
  training: {{batch: {{size: 4}}, steps: {STEPS}}}
  monitoring: {{metricsPort: 0}}
  output: ./unused
"""


class Asynchronous(CheckpointFolder):
    """Stores beside training, as usual; what was last saved can be saved again."""

    last: tuple[Any, ...] = ()

    def save(self, *state: Any, **how: Any) -> None:
        self.last = state
        super().save(*state, **how)


class Synchronous(CheckpointFolder):
    """Training waits until each is stored."""

    def save(self, *state: Any, **how: Any) -> None:
        super().save(*state, **how)
        self.wait()


CONTENDERS: dict[str, tuple[type[CheckpointFolder], int]] = {
    "none": (CheckpointFolder, NEVER),
    "asynchronous": (Asynchronous, EVERY),
    "synchronous": (Synchronous, EVERY),
}


@dataclass(frozen=True)
class Took:
    """What the steps of a run took, with the checkpoints between them, without the one after the last.

    Attributes:
        wall: seconds.
        cpu: processor seconds of this process, with all that it does until everything is stored.
    """

    wall: float
    cpu: float


def run(dataset: PreparedDataset, checkpoints: CheckpointFolder, every: int) -> Took:
    """Train with these checkpoints."""
    job = parse_job(JOB).job
    assert job.spec.training is not None
    checkpoints.folder.delete_tree("")
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            _WithoutValidation(job, dataset),
            job.spec.training,
            World(0, 0, 1, torch.device("cpu")),
            checkpoints,
            lambda _weights: None,
            Observer(
                TrainingMetrics("bench", 0, 0, 0),
                Curves(open_storage(folder), open_storage(folder).child("checkpoints"), 0),
                None,
            ),
            Intervals(10, NEVER, every),
            lambda: False,
        )
        began = time.process_time()
        trainer.run()
        return Took(trainer.state.seconds, time.process_time() - began)


class _WithoutValidation(SymbolicFamily):
    """The last step of a run validates; a benchmark of steps leaves that out."""

    def validation(self, rank: int, world: int) -> Any:
        return iter(())


def rounds_of(dataset: PreparedDataset, storage: Storage) -> dict[str, list[Took]]:
    """Each contender's runs, in turn."""
    rounds = [
        {name: run(dataset, kind(storage, 2), every) for name, (kind, every) in CONTENDERS.items()}
        for _ in range(ROUNDS)
    ]
    return {name: [took[name] for took in rounds] for name in CONTENDERS}


def lost(name: str, runs: dict[str, list[Took]]) -> float:
    """Time that training loses by checkpoints of a kind, as a part of the time between two."""
    wall = {kind: statistics.median(took.wall for took in each) for kind, each in runs.items()}
    return _part(wall[name] - wall["none"], wall["none"], CHECKPOINTS)


def lost_cpu(runs: dict[str, list[Took]]) -> float:
    """The same of processor time; the checkpoint after the last step is paid for in either run."""
    cpu = {kind: statistics.median(took.cpu for took in each) for kind, each in runs.items()}
    return _part(cpu["asynchronous"] - cpu["none"], cpu["none"], CHECKPOINTS)


def _part(more: float, without: float, checkpoints: int) -> float:
    return (more / checkpoints) / (without * EVERY / STEPS)


def seconds_of_one(dataset: PreparedDataset, storage: Storage, others: Sequence[psutil.Process]) -> list[float]:
    """Processor seconds of one checkpoint while nothing is trained: this process's, and each of the others'."""
    checkpoints = Asynchronous(storage, 2)
    run(dataset, checkpoints, EVERY)
    before = _spent(others)
    for _ in range(REPEATS):
        checkpoints.save(*checkpoints.last)
        checkpoints.wait()
    return [(now - then) / REPEATS for now, then in zip(_spent(others), before, strict=True)]


def _spent(others: Sequence[psutil.Process]) -> list[float]:
    times = [process.cpu_times() for process in others]
    return [time.process_time(), *(one.user + one.system for one in times)]


@contextmanager
def on_cores(process: int, cores: set[int]) -> Iterator[None]:
    """All threads of a process have these cores meanwhile."""
    before = os.sched_getaffinity(process)
    _give(process, cores)
    try:
        yield
    finally:
        _give(process, before)


def _give(process: int, cores: set[int]) -> None:
    for thread in Path(f"/proc/{process}/task").iterdir():
        os.sched_setaffinity(int(thread.name), cores)


@contextmanager
def slow_link(server: seaweedfs.S3Server) -> Iterator[tuple[str, psutil.Process]]:
    """A link to the server, in a process of its own: (its endpoint, the process)."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=_link, args=(server, ours, theirs))
    process.start()
    assert process.pid is not None
    try:
        yield ours.recv(), psutil.Process(process.pid)
    finally:
        ours.send(None)
        process.join()


def _link(server: seaweedfs.S3Server, other: Connection, told: Connection) -> None:
    other.close()  # so that the end of the process that has it is seen here
    with standing_between(server) as link:
        link.break_with(Fault.SLOW)
        told.send(link.endpoint)
        with suppress(EOFError):
            told.recv()


def main(dataset_url: str) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        seaweedfs.running(Path(folder) / "s3") as server,
        slow_link(server) as (endpoint, link),
        pytest.MonkeyPatch.context() as environment,
    ):
        for name, value in {**server.environment, "AWS_ENDPOINT_URL": endpoint}.items():
            environment.setenv(name, value)
        weed = next(child for child in psutil.Process().children() if child.pid != link.pid)
        dataset = PreparedDataset.open(dataset_url, Path(folder) / "work")
        storage = open_storage(f"s3://{seaweedfs.BUCKET}/checkpoints")
        training, server_cpu, link_cpu = seconds_of_one(dataset, storage, [weed, link])
        shared = rounds_of(dataset, storage)
        first, *rest = sorted(os.sched_getaffinity(0))
        torch.set_num_threads(1)
        with on_cores(os.getpid(), {first}), on_cores(weed.pid, set(rest)), on_cores(link.pid, set(rest)):
            apart = rounds_of(dataset, storage)
    steps_cpu = statistics.median(took.cpu for took in apart["none"]) - training
    figures = {
        "cpu.fifty_steps": steps_cpu * EVERY / STEPS,
        "cpu.checkpoint.training": training,
        "cpu.checkpoint.server": server_cpu,
        "cpu.checkpoint.link": link_cpu,
        "apart.cpu": lost_cpu(apart),
        **{f"apart.{name}": lost(name, apart) for name in ("asynchronous", "synchronous")},
        **{f"shared.{name}": lost(name, shared) for name in ("asynchronous", "synchronous")},
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1])
