"""Where the numbers of a run go: curves and TensorBoard in the output, Prometheus while it runs."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from mtj_api import JobError
from mtj_trainer.storage import StorageUnavailable
from mtj_trainer.train.checkpoint import RunState
from mtj_trainer.train.curves import Curves
from mtj_trainer.train.metrics import TrainingMetrics
from mtj_trainer.train.tensorboard import ScalarEvents


class Observer:
    """Takes what the loop sees.

    Args:
        metrics: this process's Prometheus endpoint.
        curves: rows of the output's curve file, or ``None`` in all processes but the first.
        events: TensorBoard, or ``None`` where it is not wanted.
    """

    def __init__(self, metrics: TrainingMetrics, curves: Curves | None, events: ScalarEvents | None) -> None:
        self._metrics = metrics
        self._curves = curves
        self._events = events
        self._is_behind = False
        """Whether curves could not be written when it was time to."""

    def begin(self, state: RunState, *, of: int) -> None:
        """Training begins, or goes on, at this state."""
        self._metrics.begin(state.step, of)
        self.history(state)

    def history(self, state: RunState) -> None:
        """Take up how many steps were bad, and how often training went back."""
        self._metrics.observe_history(state.history)

    def go_back(self, state: RunState, *, of: int) -> None:
        """Training is back at this state; what was seen of later steps is void."""
        self.begin(state, of=of)
        if self._curves:
            self._curves.go_back(state.step)
        if self._events:
            self._events.go_back(state.step)

    def step(
        self,
        state: RunState,
        *,
        of: int,
        loss: float,
        terms: Mapping[str, float],
        learning_rate: float,
        gradient_norm: float,
        tokens_per_second: float,
        eta_seconds: float,
    ) -> None:
        """Take up a logged step."""
        self._metrics.observe(
            step=state.step,
            of=of,
            loss=loss,
            terms=terms,
            learning_rate=learning_rate,
            gradient_norm=gradient_norm,
            tokens=state.counted,
            tokens_per_second=tokens_per_second,
            data_wait_seconds=state.waited_seconds,
            eta_seconds=eta_seconds,
        )
        figures = {
            "loss": loss,
            **{f"loss_{name}": value for name, value in terms.items()},
            "learning_rate": learning_rate,
            "gradient_norm": gradient_norm,
            "tokens_per_second": tokens_per_second,
            "data_wait_fraction": state.waited_seconds / state.seconds,
            "bad_steps": state.history.bad_steps,
        }
        if self._curves:
            self._curves.add(step=state.step, **figures)
        if self._events:
            self._events.add(state.step, {f"train/{name}": value for name, value in figures.items()})

    def validation(self, step: int, loss: float) -> None:
        """Take up a validation loss, a prediction."""
        if self._curves:
            self._curves.add(step=step, validation_loss=loss)
        if self._events:
            self._events.add(step, {"validation/loss": loss})

    def checkpoint(self, seconds: float) -> None:
        """Training stood still for so long for a checkpoint: all that was logged is written too."""
        self._metrics.observe_checkpoint(seconds)
        try:
            self._write_curves()
            if self._events:
                self._events.sync()
        except StorageUnavailable as error:
            print(f"warning: {error}; curves are written with the next checkpoint", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Write what could not be written before. How training ended is not changed by what goes wrong here."""
        self._metrics.close()
        try:
            if self._is_behind:
                self._write_curves()
            if self._events:
                self._events.close()
        except JobError as error:
            print(f"warning: {error}; the curves lack their end", file=sys.stderr, flush=True)

    def _write_curves(self) -> None:
        self._is_behind = True
        if self._curves:
            self._curves.write()
        self._is_behind = False
