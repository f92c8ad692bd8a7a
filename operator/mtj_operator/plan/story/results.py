"""What the status says of the work itself: progress, the last checkpoint, the evaluation, and where the output lies.

It comes from what training tells while it runs and from the last words of pods that ended well. Invariant: whatever a
pod says, what is taken from it is bounded, finite and of the right type, or is not taken.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from mtj_api import MusicTrainingJob
from mtj_api.contract import ExitCode
from mtj_api.status import FIGURES, CheckpointStatus, OutputStatus, Progress, StageStatus
from mtj_operator.plan.figures import count, figure
from mtj_operator.plan.objects import names
from mtj_operator.plan.observed import PodSnapshot, TrainingProgress
from mtj_operator.plan.story.clock import rfc3339, seconds_of
from mtj_operator.plan.story.leftovers import KEPT
from mtj_operator.plan.story.seen import Seen

_YEAR_9999 = 253_370_764_800.0

PROGRESS_EVERY = 15.0
"""Seconds between two writes of a status that only progress changed."""


def progress_of(
    before: Progress | None, told: TrainingProgress | None, train: StageStatus | None, seen: Seen
) -> Progress | None:
    """The progress to write: what was told, but not more often than every ``PROGRESS_EVERY`` and at the end.

    Args:
        before: what is written.
        told: by the first process of an attempt.
        train: the row of training; ``None`` in a job without.
    """
    if train is None:
        return before
    if train.state == "Succeeded":
        done = {"step": before.of, "percent": "100%", "eta_seconds": None} if before else {}
        return before and before.model_copy(update=done | _last_loss(train, seen))
    if told is None or told.job != names.attempt(seen.name, train.name, train.attempt):
        return before
    if before is not None:
        since = told.told - (seconds_of(before.updated) or 0.0)
        finished = told.step >= told.of and before.step < told.step
        # What is written may be from the future: by the clock of the replica that acted before this one.
        if 0 <= since < PROGRESS_EVERY and not finished:
            return before
    return Progress(
        step=told.step,
        of=told.of,
        percent=f"{min(100, max(0, 100 * told.step // told.of))}%" if told.of > 0 else "",
        loss=figure(told.loss),
        tokens_per_second=figure(told.tokens_per_second),
        eta_seconds=figure(told.eta_seconds),
        updated=rfc3339(told.told),
    )


def _last_loss(train: StageStatus, seen: Seen) -> dict[str, float]:
    """The loss of the last step, which nobody may have asked for while it was told."""
    for words in _last_words(seen, train, (ExitCode.DONE,)):
        figures = words.get("figures")
        loss = figure(figures.get("train.loss")) if isinstance(figures, dict) else None
        if loss is not None:
            return {"loss": loss}
    return {}


def checkpoint_of(
    before: CheckpointStatus | None, told: TrainingProgress | None, train: StageStatus | None, seen: Seen
) -> CheckpointStatus | None:
    """The newest complete checkpoint that is known of.

    Args:
        before: what is written.
        told: by the first process of training; ``None`` while that is not written, as for progress.
        train: the row of training; ``None`` in a job without.
    """
    found = [] if before is None else [before]
    for words in _last_words(seen, train, (ExitCode.DONE, ExitCode.INTERRUPTED)):
        said = words.get("checkpoint")
        if (
            isinstance(said, dict)
            and (step := count(said.get("step"))) is not None
            and isinstance(said.get("url"), str)
        ):
            found.append(CheckpointStatus(step=step, url=said["url"], time=_moment(said.get("time"))))
    if told is not None and told.checkpoint_step is not None:
        time = _moment(told.checkpoint_time)
        found.append(CheckpointStatus(step=told.checkpoint_step, url=told.checkpoint_url, time=time))
    return max(found, key=lambda checkpoint: checkpoint.step, default=None)


def evaluation_of(before: dict[str, float] | None, evaluate: StageStatus | None, seen: Seen) -> dict[str, float] | None:
    """The figures of the evaluation, as its last attempt that was done has them."""
    for words in _last_words(seen, evaluate, (ExitCode.DONE,)):
        said = words.get("figures")
        if isinstance(said, dict):
            figures = {name: found for name, value in said.items() if (found := figure(value)) is not None}
            return dict(list(figures.items())[:FIGURES]) or before
    return before


def output_of(job: MusicTrainingJob) -> OutputStatus:
    """Where the results of a job that is done lie.

    Args:
        job: resolved, with its places as the pods have them.
    """
    output = job.spec.output
    return OutputStatus(
        model=f"{output}/model" if job.spec.model is not None else None,
        report=f"{output}/report.html",
        figures=f"{output}/figures.json",
    )


def _last_words(seen: Seen, row: StageStatus | None, codes: tuple[ExitCode, ...]) -> Iterator[dict[str, Any]]:
    """What the pods of a stage that ended so have said in JSON, the latest attempt first.

    No attempt was made before pods of its name were gone, so that these are the job's own.
    """
    if row is not None:
        for attempt in range(row.attempt, max(0, row.attempt - KEPT), -1):
            for pod in seen.pods_of(row.name, attempt):
                if pod.exit_code in codes and (words := _object(pod)) is not None:
                    yield words


def _object(pod: PodSnapshot) -> dict[str, Any] | None:
    try:
        found = json.loads(pod.exit_message)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _moment(text: object) -> str | None:
    """A time as the status has times; ``None`` for what is none."""
    seconds = seconds_of(text) if isinstance(text, str) else None
    return rfc3339(seconds) if seconds is not None and 0 <= seconds < _YEAR_9999 else None
