"""Which checkpoints of a run are kept."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Retention:
    """How many are kept; one that any of these keeps is kept.

    Attributes:
        newest: of the newest, at least 1.
        best: of those with the lowest validation loss.
        every_steps: each whose step is a multiple of this; 0 for none.
        interval: steps between those that are saved in any case. One that a stop left in between is kept until there is
            a newer one, and takes no other's place: where bad steps lead back to is the same as without the stop.
    """

    newest: int
    best: int = 0
    every_steps: int = 0
    interval: int = 1

    def regular(self, steps: Iterable[int]) -> list[int]:
        """Those steps at which a checkpoint is saved in any case."""
        return [step for step in steps if step % self.interval == 0]

    def kept(self, losses: Mapping[int, float | None]) -> set[int]:
        """Steps of the checkpoints that are kept, of all that there are.

        Args:
            losses: the validation loss at each step that has a checkpoint; ``None`` where none was measured. One that
                is no finite number is never among the best.
        """
        steps = sorted(losses)
        measured = {step: loss for step, loss in losses.items() if loss is not None and math.isfinite(loss)}
        best = sorted(measured, key=lambda step: (measured[step], -step))[: self.best]
        for_good = [step for step in steps if self.every_steps and step % self.every_steps == 0]
        return {*steps[-1:], *self.regular(steps)[-self.newest :], *best, *for_good}
