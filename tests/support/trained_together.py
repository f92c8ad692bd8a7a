"""One of the processes of small training runs, one after the other, for tests of engines: ``trained_together.py JSON``.

The JSON is a list of runs, each the arguments of ``train``. One start of the processes does for all, as importing
PyTorch and DeepSpeed takes far longer than such a run.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from torch import nn

from mtj_api import parse_job
from mtj_trainer.families.family import Loss
from mtj_trainer.families.symbolic.sequences import Batch
from mtj_trainer.prepare.dataset import PreparedDataset
from mtj_trainer.storage import open_storage
from mtj_trainer.train import bad_steps
from mtj_trainer.train.checkpoint import CheckpointFolder
from mtj_trainer.train.curves import Curves
from mtj_trainer.train.distributed import World, join_world
from mtj_trainer.train.loop import Intervals, Trainer
from mtj_trainer.train.metrics import TrainingMetrics
from mtj_trainer.train.observe import Observer
from support.gpus import share_gpus
from support.poison import BY_NAME, PoisonedBatch, PoisonedFamily

JOB = """
apiVersion: training.discomusica.io/v1alpha1
kind: MusicTrainingJob
metadata: {{name: small}}
spec:
  dataset: {{source: ./music, midi: {{tokenizer: grid}}}}
  model: {{architecture: {{layers: 1, width: 30, heads: 3, context: 128}}}}
  training:
    steps: 24
    batch: {{size: 8, accumulation: 2}}
    precision: {precision}
    optimizer: {{learningRate: 0.01}}
    {training}
  output: ./out
"""


class LostError(Exception):
    """The process is lost, as if its machine were."""


class Recorded(PoisonedFamily):
    """The family, and the positions of the examples of each pass that it was trained on, by step."""

    def __init__(self, *parts: Any, size: int, **poison: Any) -> None:
        super().__init__(*parts, **poison)
        self.taken: dict[int, list[Sequence[int]]] = {}
        self._size = size

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """See ``Family.loss``."""
        assert isinstance(batch, PoisonedBatch)
        self.taken.setdefault(batch.positions[0] // self._size, []).append(batch.positions)
        return super().loss(model, batch)


def train(
    world: World,
    folder: str,
    dataset: str,
    training: str,
    precision: str,
    stop_after: int,
    lose_after: int | None = None,
    poisoned: Sequence[int] = (),
    kind: str = "loss nan",
    least: int = bad_steps.LEAST,
) -> None:
    """Train in ``folder`` with these further lines of ``training``, up to a step, to stop there or to be lost.

    The first process writes what it logged to ``rows.json`` there, and each the examples that it took to
    ``taken-STEP-RANK.json``, by the step that it began with, and what it remembers of its steps.

    Args:
        poisoned: steps whose batches are, in an example of the last process.
        kind: of the poison.
        least: good steps before there are spikes.
    """
    bad_steps.LEAST = least
    Path(folder).mkdir(parents=True, exist_ok=True)
    job = parse_job(JOB.format(training=training, precision=precision)).job
    settings = job.spec.training
    assert settings is not None
    output = open_storage(folder)
    size = settings.batch.size
    family = Recorded(
        job,
        PreparedDataset.open(dataset, Path(folder) / f"work{world.rank}"),
        poisoned=lambda position: position % size == size - 1 and position // size in poisoned,
        poison=BY_NAME[kind],
        size=size,
    )
    checkpoints = CheckpointFolder(output.child("checkpoints"), 2)
    done = checkpoints.complete_steps()
    resumed = done[-1] if done else 0
    curves = Curves(output, output.child("checkpoints"), resumed) if world.is_first else None
    metrics = TrainingMetrics("small", world.rank, 0, 0)
    trainer = Trainer(
        family,
        settings,
        world,
        checkpoints,
        lambda weights: family.save(output.child("best"), weights),
        Observer(metrics, curves, None),
        Intervals(log=4, validate=8, checkpoint=8),
        _should_stop(lambda: trainer.state.step, stop_after, lose_after),
    )
    with suppress(LostError):
        trainer.run()
    checkpoints.wait()
    (Path(folder) / f"taken-{resumed}-{world.rank}.json").write_text(json.dumps(family.taken))
    known = {"position": trainer.state.position, **vars(trainer.state.history)}
    (Path(folder) / f"history{world.rank}.json").write_text(json.dumps(known))
    if curves:
        (Path(folder) / "rows.json").write_text(json.dumps(curves.rows))


def _should_stop(step: Callable[[], int], stop_after: int, lose_after: int | None) -> Callable[[], bool]:
    def should_stop() -> bool:
        if step() == lose_after:
            raise LostError
        return step() >= stop_after

    return should_stop


if __name__ == "__main__":
    share_gpus()
    with join_world() as joined:
        for run in json.loads(sys.argv[1]):
            train(joined, **run)
