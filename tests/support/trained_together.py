"""One of the processes of small training runs, one after the other, for tests of engines: ``trained_together.py JSON``.

The JSON is a list of runs, each the arguments of ``train``. One start of the processes does for all, as importing
PyTorch and DeepSpeed takes far longer than such a run.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from mtj_api import parse_job
from mtj_trainer.prepare.dataset import PreparedDataset
from mtj_trainer.storage import open_storage
from mtj_trainer.train import bad_steps
from mtj_trainer.train.checkpoint import CheckpointFolder
from mtj_trainer.train.curves import Curves
from mtj_trainer.train.distributed import World, join_world
from mtj_trainer.train.loop import Intervals, Trainer
from mtj_trainer.train.metrics import TrainingMetrics
from mtj_trainer.train.observe import Observer
from support.poison import BY_NAME, PoisonedFamily

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


def train(
    world: World,
    folder: str,
    dataset: str,
    training: str,
    precision: str,
    stop_after: int,
    poisoned: Sequence[int] = (),
    kind: str = "loss nan",
    least: int = bad_steps.LEAST,
) -> None:
    """Train in ``folder`` with these further lines of ``training``, up to a step.

    The first process writes what it logged to ``rows.json`` there, and each what it remembers of its steps.

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
    family = PoisonedFamily(
        job,
        PreparedDataset.open(dataset, Path(folder) / f"work{world.rank}"),
        poisoned=lambda position: position % size == size - 1 and position // size in poisoned,
        poison=BY_NAME[kind],
    )
    checkpoints = CheckpointFolder(output.child("checkpoints"), 2)
    done = checkpoints.complete_steps()
    curves = Curves(output, done[-1] if done else 0) if world.is_first else None
    metrics = TrainingMetrics("small", world.rank, 0, 0)
    trainer = Trainer(
        family,
        settings,
        world,
        checkpoints,
        lambda weights: family.save(output.child("best"), weights),
        Observer(metrics, curves, None),
        Intervals(log=4, validate=8, checkpoint=8),
        lambda: trainer.state.step >= stop_after - 1,
    )
    trainer.run()
    known = {"position": trainer.state.position, **vars(trainer.state.history)}
    (Path(folder) / f"history{world.rank}.json").write_text(json.dumps(known))
    if curves:
        (Path(folder) / "rows.json").write_text(json.dumps(curves.rows))


if __name__ == "__main__":
    with join_world() as joined:
        for run in json.loads(sys.argv[1]):
            train(joined, **run)
