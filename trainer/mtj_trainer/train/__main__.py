"""The training stage: one of the processes that torchrun starts."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import Any

from torch import Tensor

from mtj_api import MusicTrainingJob
from mtj_api.contract import ATTEMPT_ENV, LISTEN_ENV, OUT_OF_MEMORY_ENV
from mtj_trainer.families.make import base_model_at_hand, make_family
from mtj_trainer.stage import Interrupted, leave_figures, run_stage, stage_record, stop_requested, work_dir
from mtj_trainer.storage import Storage, open_storage
from mtj_trainer.storage.mirror import mirror
from mtj_trainer.train.checkpoint import BEST, CheckpointFolder, Owner, RunState
from mtj_trainer.train.curves import KEY as CURVES_KEY
from mtj_trainer.train.curves import Curves
from mtj_trainer.train.distributed import World, join_world
from mtj_trainer.train.fingerprint import fingerprint
from mtj_trainer.train.heap import give_back
from mtj_trainer.train.idle import IdleWatch
from mtj_trainer.train.loop import Intervals, Trainer
from mtj_trainer.train.metrics import ALL_INTERFACES, TrainingMetrics
from mtj_trainer.train.observe import Observer
from mtj_trainer.train.passes import out_of_memory, ran_out, settle
from mtj_trainer.train.pulse import Pulse, own_pulse
from mtj_trainer.train.slices import told
from mtj_trainer.train.tensorboard import ScalarEvents

RECORD = "stages/train.json"
BEST_WEIGHTS = "train/best"
LOG_EVERY = 10


def train(job: MusicTrainingJob) -> None:
    """Train the model of a resolved job on its prepared data, from the latest checkpoint on."""
    pulse = own_pulse()
    output = open_storage(job.spec.output)
    prepared = stage_record(output, "prepare")
    with join_world() as world:
        finished = _train(job, output, prepared, world, pulse)
    if not finished:
        raise Interrupted


def _train(job: MusicTrainingJob, output: Storage, prepared: dict[str, Any], world: World, pulse: Pulse) -> bool:
    """Whether the last step is done; if not, this was told to stop."""
    settings = job.spec.training
    assert settings is not None
    if settings.activation_checkpointing and world.device.type == "cpu":
        give_back()
    run = fingerprint(job, prepared.get("codes") or prepared["dataset"])
    folder = open_storage(job.spec.checkpoint.url).child(run)
    wanted = job.spec.checkpoint
    checkpoints = CheckpointFolder(
        folder,
        wanted.keep,
        keep_best=wanted.keep_best,
        keep_every_steps=wanted.keep_every_steps,
        interval=wanted.every_steps,
        owner=Owner.of(job.metadata.name, output.url, folder.url, os.environ.get(ATTEMPT_ENV, "")),
        on_piece=pulse.beat,
    )
    if world.is_first:
        checkpoints.claim()
    if settings.batch.auto:
        passes = settle(job.spec, folder, world, ran_out_before=OUT_OF_MEMORY_ENV in os.environ)
        settings.batch.accumulation = passes.accumulation
        if world.is_first and passes.because:
            print(f"train     {passes.accumulation} passes a step, as {passes.because}", flush=True)
    resumed = checkpoints.find(world) or 0
    with base_model_at_hand(job, pulse.beat):
        family = make_family(job, prepared)
        world.barrier()  # the machine's copy is not removed before all have read it
    idle = IdleWatch() if world.is_first and job.spec.monitoring.metrics_port else None
    metrics = TrainingMetrics(
        job.metadata.name,
        world.rank,
        world.local_rank,
        job.spec.monitoring.metrics_port,
        processes=world.size,
        host=os.environ.get(LISTEN_ENV) or ALL_INTERFACES,
        checkpoint=lambda: checkpoints.latest if world.is_first else None,
        faults=lambda: checkpoints.faults if world.is_first else None,
        pulse=pulse,
        checkpoint_interval=job.spec.checkpoint.every_steps if world.is_first else 0,
        gpu_idle=idle.seconds if idle else lambda _: None,
    )
    events = None
    if world.is_first:
        for line in (_beginning(job.spec.checkpoint.url, run, resumed), told(settings, world.size)):
            if line:
                print(f"train     {line}", flush=True)
        if job.spec.monitoring.tensorboard:
            events = ScalarEvents(output.child("tensorboard"), resumed)
    observer = Observer(metrics, Curves(output, folder, resumed) if world.is_first else None, events)

    def save_best(weights: dict[str, Tensor]) -> None:
        checkpoints.save_best(lambda best: family.save(best, weights))

    intervals = Intervals(LOG_EVERY, job.spec.evaluation.every_steps, job.spec.checkpoint.every_steps)
    in_steps = False
    try:
        should_stop = stop_requested.is_set
        trainer = Trainer(family, settings, world, checkpoints, save_best, observer, intervals, should_stop, pulse)
        in_steps = True
        finished = trainer.run()
    except Exception as error:
        if not ran_out(error):
            raise
        raise out_of_memory(job.spec, world, in_steps=in_steps) from error
    finally:
        observer.close()
        if idle:
            idle.close()
    if world.is_first:
        figures = _figures(trainer.state, settings.batch.accumulation)
        if finished:
            mirror(folder.child(BEST), output.child(BEST_WEIGHTS), copies=work_dir())
            record = {
                "fingerprint": run,
                "steps": trainer.state.step,
                "dataset": prepared["dataset"],
                "curves": CURVES_KEY,
                "weights": BEST_WEIGHTS,
                "checkpoints": folder.url,
                "figures": figures,
            }
            output.write(RECORD, (json.dumps(record, indent=2) + "\n").encode())
        else:
            print(f"train     {_stopped(trainer.state.step)}", flush=True)
        complete = checkpoints.latest
        leave_figures(figures, checkpoint=asdict(complete) if complete else None)
    world.barrier()
    return finished


def _figures(state: RunState, accumulation: int) -> dict[str, float]:
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
    figures |= {
        "train.accumulation": accumulation,
        "train.bad_steps": state.history.bad_steps,
        "train.rollbacks": state.history.rollbacks,
    }
    return figures


def _stopped(step: int) -> str:
    return f"stopped at step {step}; its checkpoint is complete" if step else "stopped before the first step"


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
