"""Which changes of a job make another run of it, and which only say how far or on what machines it trains."""

from __future__ import annotations

import pytest

from mtj_api.load import parse_job
from mtj_trainer.train.fingerprint import fingerprint
from support.jobs import WITH_MODEL

DATASET = "s3://music/data/datasets/5f0c2a9b"


def of(*settings: str, dataset: str = DATASET) -> str:
    return fingerprint(parse_job(WITH_MODEL, settings=settings).job, dataset)


@pytest.mark.parametrize(
    "settings",
    [
        ["spec.training.steps=9000"],
        ["spec.training.nodes=4"],
        ["spec.training.processesPerNode=2"],
        ["spec.training.engine=fsdp"],
        ["spec.training.engine=deepspeed"],
        ["spec.training.engine=deepspeed", "spec.training.deepspeed.zeroStage=3"],
        ["spec.training.deepspeed.launcher=deepspeed"],
        ["spec.training.activationCheckpointing=true"],
        ["spec.training.batch.accumulation=2"],
        ["spec.training.batch.auto=true"],
        ["spec.training.badSteps.spike=20"],
        ["spec.training.hangSeconds=7"],
        ["spec.dataset.workers.nodes=2"],
        ["spec.checkpoint.everySteps=7"],
        ["spec.evaluation.everySteps=7"],
        ["spec.monitoring.metricsPort=0"],
    ],
    ids=" ".join,
)
def test_how_far_and_on_what_machines_is_the_same_run(settings: list[str]) -> None:
    assert of(*settings) == of()


def test_data_of_the_same_content_elsewhere_is_the_same_run() -> None:
    assert of(dataset="file:///home/ann/data/datasets/5f0c2a9b/") == of()


@pytest.mark.parametrize(
    "setting",
    [
        "spec.training.seed=1",
        "spec.training.batch.size=2",
        "spec.training.precision=bf16",
        "spec.training.optimizer.learningRate=0.5",
        "spec.training.schedule.decay=constant",
        "spec.training.regularization.dropout=0.3",
        "spec.model.architecture.layers=3",
        "spec.dataset.augmentation.transposeSemitones=1",
    ],
)
def test_what_shapes_the_path_of_the_weights_is_another_run(setting: str) -> None:
    assert of(setting) != of()


def test_other_data_is_another_run() -> None:
    assert of(dataset="s3://music/data/datasets/00000000") != of()
