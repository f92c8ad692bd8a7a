"""Which steps are bad, and when going on as before will not do.

A step is bad where the loss or the gradient is not a finite number, or is a spike: far above what it was in the steps
before. It is left out, as OLMo 2 does (arXiv 2501.00656); after several of them training goes back to a checkpoint and
on past the data in between, as PaLM's did (Chowdhery et al. 2022, arXiv 2204.02311, section 5.1). "Far above" is told
by the median and the median deviation from it, which a single outlier does not move: of the loss as it is, and of the
gradient's norm by its logarithm, whose distribution is symmetric (ZClip, arXiv 2504.02507, takes the norm's z-score).

Invariant: what a step is judged by follows from the steps before it and from nothing else, and is saved with the run,
so that every process and every resumed run judges alike.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum

import torch
from torch import Tensor

from mtj_api import JobError
from mtj_api.spec import BadSteps, Training

WINDOW = 128
"""By so many good steps before it a step is judged."""

LEAST = 64
"""With fewer of them only what is not a number is bad: at the beginning everything changes quickly."""

RECENT = 100
"""Among so many steps bad ones are counted."""

NORMAL = 1.4826
"""Times the median deviation it is the standard deviation, of what is normally distributed."""

LEAST_SPREAD, LEAST_LOG_SPREAD = 0.05, math.log(100) / 10
"""A standard deviation is taken for at least this part of the loss, and for this much of the norm's logarithm: where
the steps before were all alike, the slightest change would be a spike. Ten of them are half the loss more, and a
hundred times the norm. On the plateau from which a model begins to learn, norms of fifty times the median come and go
and are no harm once they are clipped."""

NO_LIMIT = sys.float_info.max
"""What every finite number is below."""

NAMED = 3
"""Files that a sentence names."""


@dataclass(frozen=True)
class Limits:
    """What the mean loss and the gradient norm of a good step do not exceed."""

    loss: float = NO_LIMIT
    norm: float = NO_LIMIT


class Kind(Enum):
    """What is wrong with a step."""

    NOT_FINITE = "not_finite"
    SPIKE = "spike"


@dataclass
class StepHistory:
    """What a run remembers of its steps; a part of its state, and JSON as that is.

    Attributes:
        losses, norms: of the last good steps, the newest last.
        recent: (step, first position in the data) of the bad ones among the last ``RECENT`` steps.
        not_finite, spikes: bad steps of the run so far.
        rollbacks: how often it went back to a checkpoint.
        fruitless: how often since it last saved one after a good step.
        last_was_good: whether the newest step was.
    """

    losses: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    recent: list[tuple[int, int]] = field(default_factory=list)
    not_finite: int = 0
    spikes: int = 0
    rollbacks: int = 0
    fruitless: int = 0
    last_was_good: bool = True

    @property
    def bad_steps(self) -> int:
        return self.not_finite + self.spikes

    def limits(self, spike: float) -> Limits:
        """What the next step is judged by.

        Args:
            spike: standard deviations above the median at which a spike begins; 0 where nothing is one.
        """
        if not spike or len(self.losses) < LEAST:
            return Limits()
        logs = [math.log(max(norm, sys.float_info.min)) for norm in self.norms]
        loss = _limit(self.losses, spike, LEAST_SPREAD * abs(statistics.median(self.losses)))
        return Limits(loss, math.exp(min(700.0, _limit(logs, spike, LEAST_LOG_SPREAD))))

    def add_good(self, step: int, loss: float, norm: float | None) -> None:
        """A good step; without a norm where the scaler of fp16 left it out, which says nothing against it."""
        self._forget(step)
        self.last_was_good = True
        if norm is not None:
            self.losses = [*self.losses, loss][-WINDOW:]
            self.norms = [*self.norms, norm][-WINDOW:]

    def add_bad(self, step: int, position: int, kind: Kind) -> None:
        """A step that was left out."""
        self._forget(step)
        self.last_was_good = False
        self.recent.append((step, position))
        if kind is Kind.NOT_FINITE:
            self.not_finite += 1
        else:
            self.spikes += 1

    def back_at(self, saved: StepHistory) -> StepHistory:
        """This history once the run is back at a checkpoint: what it judges by is as it was, what it counted stays."""
        return StepHistory(
            losses=saved.losses,
            norms=saved.norms,
            not_finite=self.not_finite,
            spikes=self.spikes,
            rollbacks=self.rollbacks + 1,
            fruitless=self.fruitless + 1,
        )

    def _forget(self, step: int) -> None:
        self.recent = [(bad, position) for bad, position in self.recent if bad > step - RECENT]


def is_bad(loss: Tensor, norm: Tensor, limits: Limits, overflowed: Tensor | None = None) -> Tensor:
    """Whether a step is bad: a scalar on the device of the others, so that nothing waits for it.

    Args:
        loss: the mean over the whole batch, a scalar.
        norm: of the gradient before clipping, a scalar.
        limits: of a good step.
        overflowed: where the scaler of fp16 will leave the step out by itself, whatever the norm is.
    """
    loss_is_good = (loss <= limits.loss) & (loss >= -NO_LIMIT)  # whatever is compared with NaN is false
    norm_is_good = norm <= limits.norm
    if overflowed is not None:
        norm_is_good = norm_is_good | overflowed
    return torch.logical_not(loss_is_good & norm_is_good)


def what_is_wrong(loss: float, norm: float, limits: Limits) -> tuple[Kind, str]:
    """What is wrong with a bad step, and in words."""
    if not math.isfinite(loss):
        return Kind.NOT_FINITE, f"the loss is {loss}"
    if not math.isfinite(norm):
        return Kind.NOT_FINITE, f"the gradient norm is {norm}"
    name, value, limit = ("loss", loss, limits.loss) if loss > limits.loss else ("gradient norm", norm, limits.norm)
    return Kind.SPIKE, f"the {name} is {value:.4g}, a spike above {limit:.4g}"


def hopeless(
    history: StepHistory, why: str, batches: Sequence[Sequence[str]], settings: Training, *, size: int, back: bool
) -> JobError:
    """The end of a run whose bad steps do not cease.

    Args:
        history: with the bad steps.
        why: what was wrong with the last of them.
        batches: the source files of each of the recent bad ones, in their order.
        settings: of the training.
        size: examples a batch.
        back: whether there was a checkpoint to go back to.
    """
    step, position = history.recent[-1]
    count, tried = len(history.recent), "and there is no good checkpoint to go back to"
    if back:
        times = f"{history.fruitless} times" if history.fruitless > 1 else "once"
        tried = (
            f"and going back to a checkpoint, {times}, did not help" if history.fruitless else "and that is too many"
        )
    named = f"examples {position} to {position + size - 1} of the stream, of {listed(batches[-1])}"
    what = f"{count} of the last {min(step, RECENT)} steps were bad, {tried}; at step {step} {why} ({named})"
    shared = sorted(set.intersection(*(set(files) for files in batches))) if count > 1 else []
    if shared:
        return JobError(
            f"{what}; all of the bad batches have {listed(shared)}",
            where="spec.dataset.source",
            instead=f"look at {shared[0]}, and take it out or put it right",
        )
    return JobError(
        what,
        where="spec.training.optimizer.learningRate",
        instead=f"lower it below {settings.optimizer.learning_rate:g}, or write precision: fp32, or a larger "
        f"badSteps.spike than {settings.bad_steps.spike:g} where nothing is wrong with such steps",
    )


def listed(files: Iterable[str]) -> str:
    """The files that have the most examples of a batch, and how many there are besides."""
    found = [name for name, _ in Counter(files).most_common()]
    more = len(found) - NAMED
    return ", ".join(found[:NAMED]) + (f" and {more} more" if more > 0 else "")


def in_trouble(history: StepHistory, settings: BadSteps) -> bool:
    """Whether leaving steps out will not do any more."""
    return len(history.recent) >= settings.roll_back_after


def _limit(values: Sequence[float], spike: float, least: float) -> float:
    middle = statistics.median(values)
    deviation = statistics.median(abs(value - middle) for value in values)
    return middle + spike * max(NORMAL * deviation, least)
