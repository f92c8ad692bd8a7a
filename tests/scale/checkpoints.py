"""What a checkpoint every 50 steps costs: stored while training goes on, or while it waits, beside none at all.

Run ``python tests/scale/checkpoints.py DATASET_URL``: rounds of each in turn within one process, on a real S3 server
behind a link of some 60 MB a second; medians of the rounds are compared. Prints one JSON object.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

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

EVERY, STEPS, ROUNDS = 50, 240, 3
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


class Waiting(CheckpointFolder):
    """Training waits until each is stored."""

    def save(self, *state: Any, **how: Any) -> None:
        super().save(*state, **how)
        self.wait()


CONTENDERS: dict[str, tuple[type[CheckpointFolder], int]] = {
    "none": (CheckpointFolder, NEVER),
    "asynchronous": (CheckpointFolder, EVERY),
    "synchronous": (Waiting, EVERY),
}


def seconds(dataset: PreparedDataset, storage: Storage, kind: type[CheckpointFolder], every: int) -> float:
    """How long the steps take: with the checkpoints between them, without the one after the last."""
    job = parse_job(JOB).job
    assert job.spec.training is not None
    storage.delete_tree("")
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            _WithoutValidation(job, dataset),
            job.spec.training,
            World(0, 0, 1, torch.device("cpu")),
            kind(storage, 2),
            lambda _weights: None,
            Observer(TrainingMetrics("bench", 0, 0, 0), Curves(open_storage(folder), 0), None),
            Intervals(10, NEVER, every),
            lambda: False,
        )
        trainer.run()
    return trainer.state.seconds


class _WithoutValidation(SymbolicFamily):
    """The last step of a run validates; a benchmark of steps leaves that out."""

    def validation(self, rank: int, world: int) -> Any:
        return iter(())


def main(dataset_url: str) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        seaweedfs.running(Path(folder) / "s3") as server,
        standing_between(server) as link,
        pytest.MonkeyPatch.context() as environment,
    ):
        for name, value in {**server.environment, "AWS_ENDPOINT_URL": link.endpoint}.items():
            environment.setenv(name, value)
        link.break_with(Fault.SLOW)
        dataset = PreparedDataset.open(dataset_url, Path(folder) / "work")
        storage = open_storage(f"s3://{seaweedfs.BUCKET}/checkpoints")
        rounds = [
            {name: seconds(dataset, storage, *contender) for name, contender in CONTENDERS.items()}
            for _ in range(ROUNDS)
        ]
    medians = {name: statistics.median(times[name] for times in rounds) for name in CONTENDERS}
    costs = {f"cost.{name}": medians[name] / medians["none"] - 1 for name in ("asynchronous", "synchronous")}
    print(json.dumps({"steps_per_second": STEPS / medians["none"], **costs}))


if __name__ == "__main__":
    main(sys.argv[1])
