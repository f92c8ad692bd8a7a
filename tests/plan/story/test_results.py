"""Progress, the last checkpoint, the evaluation: from what pods say, as far as it can be believed."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from mtj_api.status import JobStatus, Progress, StageStatus
from mtj_operator.plan.observed import JobSnapshot, PodSnapshot, TrainingProgress
from mtj_operator.plan.story import decide
from mtj_operator.plan.story.clock import rfc3339
from support.sightings import NOW, ended, job, pod, seen, status, train
from support.stories import SETTINGS

TOLD = TrainingProgress("chorales-train-1", NOW, 430, 1000, 2.5, 1200.0, 570.0, 400, "s3://music/out/checkpoints/400")
RUNNING = (job(), pod(), pod(1))


def after(
    before: JobStatus, told: TrainingProgress | None = None, children: Sequence[JobSnapshot | PodSnapshot] = RUNNING
) -> JobStatus:
    return decide(replace(seen(before, *children), progress=told), SETTINGS, NOW + 60).status


def said(step: int, url: str = "s3://c") -> str:
    return json.dumps({"checkpoint": {"step": step, "url": url}})


def test_progress_is_what_the_first_process_told() -> None:
    progress = after(status(train()), TOLD).progress
    assert progress == Progress(
        step=430, of=1000, percent="43%", loss=2.5, tokens_per_second=1200.0, eta_seconds=570.0, updated=rfc3339(NOW)
    )


@pytest.mark.parametrize(
    ("told", "written"),
    [
        (replace(TOLD, told=NOW + 14.9, step=500), False),
        (replace(TOLD, told=NOW + 15, step=500), True),
        (replace(TOLD, told=NOW + 1, step=1000), True),
        (replace(TOLD, told=NOW + 15, step=500, job="chorales-train-7"), False),
        (None, False),
    ],
)
def test_progress_is_written_every_15_seconds_at_most_and_at_the_end(
    told: TrainingProgress | None, written: bool
) -> None:
    before = after(status(train()), TOLD)
    now = after(before, told)
    assert (now != before) == written
    assert now.progress is not None
    assert now.progress.step == (told.step if written and told else 430)


def test_a_replica_whose_clock_is_behind_that_of_the_one_before_writes_on() -> None:
    before = after(status(train()), TOLD)
    now = after(before, replace(TOLD, told=NOW - 3600, step=500, checkpoint_step=500))
    assert now.progress is not None
    assert now.checkpoint is not None
    assert (now.progress.step, now.progress.updated, now.checkpoint.step) == (500, rfc3339(NOW - 3600), 500)


def test_an_attempt_that_goes_on_from_a_checkpoint_says_so() -> None:
    before = after(status(train()), TOLD)
    before.stages[1].attempt = 2
    told = replace(TOLD, told=NOW + 60, step=310, job="chorales-train-2")
    children = (job(attempt=2), pod(attempt=2, job="chorales-train-2"))
    progress = after(before, told, children).progress
    assert progress is not None
    assert (progress.step, progress.percent) == (310, "31%")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
def test_what_is_no_number_is_left_out(value: float | None) -> None:
    progress = after(status(train()), replace(TOLD, loss=value, tokens_per_second=value, eta_seconds=value)).progress
    assert progress is not None
    assert (progress.loss, progress.tokens_per_second, progress.eta_seconds) == (None, None, None)


@pytest.mark.parametrize(("step", "of", "percent"), [(0, 10, "0%"), (10, 10, "100%"), (11, 10, "100%"), (1, 0, "")])
def test_percent_stays_between_0_and_100(step: int, of: int, percent: str) -> None:
    progress = after(status(train()), replace(TOLD, step=step, of=of)).progress
    assert progress is not None
    assert progress.percent == percent


def test_training_that_is_done_is_done_to_the_last_step() -> None:
    progress = after(after(status(train()), TOLD), TOLD, [job(succeeded=True)]).progress
    assert progress is not None
    assert (progress.step, progress.percent, progress.eta_seconds, progress.loss) == (1000, "100%", None, 2.5)


def test_its_loss_is_that_of_the_last_step_and_stays_so_when_its_pods_are_gone() -> None:
    words = json.dumps({"figures": {"train.loss": 0.5}})
    done = after(after(status(train()), TOLD), TOLD, [job(succeeded=True), ended(0, words)])
    assert done.progress is not None
    assert done.progress.loss == 0.5
    later = after(done, None, [job(succeeded=True)])
    assert later.progress == done.progress


@pytest.mark.parametrize(
    ("pods", "step"),
    [
        ([ended(0, said(1000))], 1000),
        ([ended(75, said(500))], 500),
        ([ended(75, said(300))], 400),
        ([ended(1, said(500))], 400),
        ([ended(75, said(500), attempt=2, job="chorales-train-2")], 400),
    ],
)
def test_the_checkpoint_is_the_newest_that_anybody_told_of(pods: Sequence[PodSnapshot], step: int) -> None:
    before = after(status(train()), TOLD)
    assert before.checkpoint is not None
    assert (before.checkpoint.step, before.checkpoint.url) == (400, "s3://music/out/checkpoints/400")
    checkpoint = after(before, None, [job(), *pods]).checkpoint
    assert checkpoint is not None
    assert checkpoint.step == step


@pytest.mark.parametrize(
    ("told", "written"),
    [
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
        ("2026-01-31T13:00:00.5+01:00", "2026-01-31T12:00:00Z"),
        ("2026-01-31T12:00:00", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59-14:00", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_the_time_of_a_checkpoint_is_one_that_the_api_server_takes(told: str, written: str | None) -> None:
    checkpoint = after(status(train()), replace(TOLD, checkpoint_time=told)).checkpoint
    assert checkpoint is not None
    assert checkpoint.time == written


def test_a_checkpoint_alone_is_no_reason_to_write() -> None:
    before = after(status(train()), TOLD)
    assert after(before, replace(TOLD, told=NOW + 5, checkpoint_step=430)) == before


def test_the_checkpoint_of_a_job_that_was_suspended_is_known_after_its_job_is_gone() -> None:
    suspended = status(train("Suspended"))
    checkpoint = after(suspended, None, [ended(75, said(300, "s3://music/out/checkpoints/300"))]).checkpoint
    assert checkpoint is not None
    assert (checkpoint.step, checkpoint.url) == (300, "s3://music/out/checkpoints/300")


EVALUATING = status(StageStatus(name="evaluate", state="Running", attempt=1))
EVALUATED = job("evaluate", pods=1, succeeded=True)


def evaluated(message: str) -> PodSnapshot:
    return ended(0, message, stage="evaluate", job="chorales-evaluate-1")


def test_the_figures_of_the_evaluation_are_its_last_words() -> None:
    words = {"figures": {"heldout.nll": 0.52, "steps": 3}}
    assert after(EVALUATING, None, [EVALUATED, evaluated(json.dumps(words))]).evaluation == {
        "heldout.nll": 0.52,
        "steps": 3.0,
    }


@pytest.mark.parametrize(
    "message",
    [
        "",
        "it is done",
        "[1, 2]",
        '{"figures": 3}',
        '{"figures": {"a": "b", "c": true, "d": null, "e": NaN, "f": Infinity}}',
        '{"figures": {"a": ' + "9" * 400 + "}}",
        '{"checkpoint": {"step": "many", "url": 3}}',
        '{"checkpoint": {"step": -1, "url": "s3://c"}}',
        '{"checkpoint": {"step": 9007199254740992, "url": "s3://c"}}',
        '{"checkpoint": 7}',
        "{" * 4096,
        "[" * 4096,
    ],
)
def test_last_words_that_make_no_sense_are_passed_over(message: str) -> None:
    found = after(EVALUATING, None, [EVALUATED, evaluated(message), ended(0, message)])
    assert (found.evaluation, found.checkpoint) == (None, None)
    assert found.stages[2].state == "Succeeded"


def test_figures_that_are_seen_late_still_come_into_the_status_of_a_job_that_is_done() -> None:
    rows: list[Any] = [StageStatus(name=name, state="Succeeded", attempt=1) for name in ("train", "evaluate")]
    done = JobStatus(observed_generation=1, state="Succeeded", stages=rows)
    found = after(done, None, [evaluated('{"figures": {"heldout.nll": 0.52}}')])
    assert found == done.model_copy(update={"evaluation": {"heldout.nll": 0.52}})
