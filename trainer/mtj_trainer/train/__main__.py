"""The training stage: one of the processes that torchrun starts."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from torch import Tensor

from mtj_api import MusicTrainingJob
from mtj_trainer.families.make import make_family
from mtj_trainer.stage import Interrupted, leave_figures, run_stage, stage_record, stop_requested
from mtj_trainer.storage import Storage, open_storage
from mtj_trainer.train.checkpoint import CheckpointFolder, RunState
from mtj_trainer.train.curves import KEY as CURVES_KEY
from mtj_trainer.train.curves import Curves
from mtj_trainer.train.distributed import World, join_world
from mtj_trainer.train.fingerprint import fingerprint
from mtj_trainer.train.heap import give_back
from mtj_trainer.train.loop import Intervals, Trainer
from mtj_trainer.train.metrics import TrainingMetrics
from mtj_trainer.train.observe import Observer
from mtj_trainer.train.slices import told
from mtj_trainer.train.tensorboard import ScalarEvents

RECORD = "stages/train.json"
BEST = "train/best"
LOG_EVERY = 10


def train(job: MusicTrainingJob) -> None:
    """Train the model of a resolved job on its prepared data, from the latest checkpoint on."""
    output = open_storage(job.spec.output)
    prepared = stage_record(output, "prepare")
    with join_world() as world:
        finished = _train(job, output, prepared, world)
    if not finished:
        raise Interrupted


def _train(job: MusicTrainingJob, output: Storage, prepared: dict[str, Any], world: World) -> bool:
    """Whether the last step is done; if not, this was told to stop."""
    settings = job.spec.training
    assert settings is not None
    if settings.activation_checkpointing and world.device.type == "cpu":
        give_back()
    run = fingerprint(job, prepared.get("codes") or prepared["dataset"])
    folder = open_storage(job.spec.checkpoint.url).child(run)
    checkpoints = CheckpointFolder(folder, job.spec.checkpoint.keep)
    done = checkpoints.complete_steps()
    family = make_family(job, prepared)
    metrics = TrainingMetrics(
        job.metadata.name,
        world.rank,
        world.local_rank,
        job.spec.monitoring.metrics_port,
        processes=world.size,
        checkpoint=lambda: checkpoints.latest if world.is_first else None,
    )
    resumed = done[-1] if done else 0
    events = None
    if world.is_first:
        for line in (_beginning(job.spec.checkpoint.url, run, resumed), told(settings, world.size)):
            if line:
                print(f"train     {line}", flush=True)
        if job.spec.monitoring.tensorboard:
            events = ScalarEvents(output.child("tensorboard"), resumed)
    observer = Observer(metrics, Curves(output, resumed) if world.is_first else None, events)

    def save_best(weights: dict[str, Tensor]) -> None:
        family.save(folder.child("best"), weights)

    intervals = Intervals(LOG_EVERY, job.spec.evaluation.every_steps, job.spec.checkpoint.every_steps)
    try:
        trainer = Trainer(family, settings, world, checkpoints, save_best, observer, intervals, stop_requested.is_set)
        finished = trainer.run()
    finally:
        observer.close()
    if world.is_first:
        figures = _figures(trainer.state)
        if finished:
            _copy(folder.child("best"), output.child(BEST))
            record = {
                "fingerprint": run,
                "steps": trainer.state.step,
                "dataset": prepared["dataset"],
                "curves": CURVES_KEY,
                "weights": BEST,
                "checkpoints": folder.url,
                "figures": figures,
            }
            output.write(RECORD, (json.dumps(record, indent=2) + "\n").encode())
        else:
            print(f"train     stopped at step {trainer.state.step}; its checkpoint is complete", flush=True)
        complete = checkpoints.latest
        leave_figures(figures, checkpoint=asdict(complete) if complete else None)
    world.barrier()
    return finished


def _figures(state: RunState) -> dict[str, float]:
    figures: dict[str, float] = {
        "train.steps": state.step,
        "train.seconds": state.seconds,
        "train.tokens": state.counted,
        "train.tokens_per_second": state.counted / max(1e-9, state.seconds),
        "train.data_wait_fraction": state.waited_seconds / max(1e-9, state.seconds),
    }
    if state.loss is not None:
        figures["train.loss"] = state.loss
    if state.best_loss is not None and state.best_step is not None:
        figures |= {"validation.loss": state.best_loss, "validation.best_step": state.best_step}
    return figures


def _copy(source: Storage, target: Storage) -> None:
    """Make ``target`` hold what ``source`` does, a file at a time."""
    files = [entry.key for entry in source.list()]
    for gone in {entry.key for entry in target.list()} - set(files):
        target.delete(gone)
    for key in files:
        target.write(key, source.read(key))


def _beginning(checkpoints: str, run: str, resumed: int) -> str:
    """What a user should know of where this run begins."""
    if resumed:
        return f"going on from the checkpoint of step {resumed}"
    others = {entry.key.split("/")[0] for entry in open_storage(checkpoints).list()} - {run}
    if others:
        return f"a new run, as data or settings differ; earlier checkpoints stay at {checkpoints}"
    return "from the beginning"


if __name__ == "__main__":
    run_stage(train, saves_itself=True, has_gang=True)
