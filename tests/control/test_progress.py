"""What is taken from the answers of training processes, which may say anything."""

from __future__ import annotations

import json

import pytest

from mtj_operator.control.progress import read
from mtj_operator.plan.observed import GpuIdleness, TrainingProgress

ANSWER = {
    "stage": "train",
    "rank": 0,
    "step": 120,
    "of": 600,
    "loss": 1.31,
    "tokens_per_second": 15246.5,
    "eta_seconds": 131,
    "checkpoint": {"step": 100, "url": "s3://music/out/checkpoints/100", "time": "2026-01-31T12:00:00Z"},
}


def told(**more: object) -> TrainingProgress | None:
    return read(json.dumps({**ANSWER, **more}).encode(), "chorales-train-1", 7.0)


def test_an_answer_is_taken_up_whole() -> None:
    assert told() == TrainingProgress(
        job="chorales-train-1",
        told=7.0,
        step=120,
        of=600,
        loss=1.31,
        tokens_per_second=15246.5,
        eta_seconds=131.0,
        checkpoint_step=100,
        checkpoint_url="s3://music/out/checkpoints/100",
        checkpoint_time="2026-01-31T12:00:00Z",
    )


@pytest.mark.parametrize(
    "answer",
    [b"", b"<html>", b"[]", b"null", b"{}", b'{"step": 1}', b'{"step": "1", "of": 2}', b"[" * 100_000, b"\xff"],
)
def test_what_is_no_answer_is_left(answer: bytes) -> None:
    assert read(answer, "chorales-train-1", 7.0) is None


def test_before_the_first_logged_step_nothing_is_told() -> None:
    assert told(step=0, of=None) is None


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), "1.3", None, [1]])
def test_figures_that_are_no_numbers_are_left_out(loss: object) -> None:
    found = told(loss=loss)
    assert found is not None
    assert found.loss is None


@pytest.mark.parametrize("checkpoint", [None, {}, {"step": "1", "url": 7, "time": 3}])
def test_a_training_without_a_checkpoint_has_none(checkpoint: object) -> None:
    found = told(checkpoint=checkpoint)
    assert found is not None
    assert (found.checkpoint_step, found.checkpoint_url, found.checkpoint_time) == (None, "", "")


@pytest.mark.parametrize(
    ("idle", "expected"),
    [
        ({"below": 10, "seconds": 12.5}, GpuIdleness(10, 12.5)),
        (None, None),
        ({}, None),
        ({"below": 10, "seconds": None}, None),
        ({"below": "10", "seconds": 12.5}, None),
        ({"below": 10, "seconds": float("inf")}, None),
    ],
)
def test_for_how_long_gpus_are_idle_is_told_where_it_is_known(idle: object, expected: GpuIdleness | None) -> None:
    found = told(gpu_idle=idle)
    assert found is not None
    assert found.gpu_idle == expected
