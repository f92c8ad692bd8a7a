"""The training loop: read it in a sitting.

Every process runs it in step. What differs between them is the slice of each batch that they compute; whatever
decides where to go (losses, requests to stop) is summed over all of them first, so that they never part ways.

Nothing in a step waits for a GPU. Whether a step is bad is decided where its loss is computed, and AdamW's kernel reads
it there; this loop looks at the numbers one step later, when they have long been copied, or before it logs, validates
or saves. What it does with them is the same at either time.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Generic

import torch
from torch import Tensor

from mtj_api.spec import Training
from mtj_trainer.families.family import BatchT, Family
from mtj_trainer.progress import Progress, clock_text
from mtj_trainer.train.bad_steps import Limits, hopeless, in_trouble, is_bad, listed, what_is_wrong
from mtj_trainer.train.buffers import Buffers
from mtj_trainer.train.checkpoint import CheckpointFolder, RunState, reseed
from mtj_trainer.train.distributed import World
from mtj_trainer.train.engine import make_engine
from mtj_trainer.train.look import Look
from mtj_trainer.train.observe import Observer
from mtj_trainer.train.optimization import AveragedWeights, learning_rate
from mtj_trainer.train.precision import autocast, choose_precision
from mtj_trainer.train.prefetch import Prefetcher
from mtj_trainer.train.pulse import Phase, Pulse
from mtj_trainer.train.slices import divide


@dataclass(frozen=True)
class Intervals:
    """How often things are done, in steps."""

    log: int
    validate: int
    checkpoint: int


Pass = tuple[BatchT, bool]
"""Examples, and whether they count: a pass without examples of its own makes up the number."""

TOTAL = "loss"
"""The name of the whole loss beside its terms."""


@dataclass(frozen=True)
class Taken:
    """A step that has been given to the engine, and at whose numbers nobody has looked yet.

    Attributes:
        step: before it.
        position: of its first example.
        counted: predictions that it trains on.
        limits: by which it is judged.
        names: of the loss and its terms.
        look: their sums over all processes, the gradient norm, whether the step is bad, and whether it is left out.
    """

    step: int
    position: int
    counted: int
    limits: Limits
    names: tuple[str, ...]
    look: Look


class Trainer(Generic[BatchT]):
    """One run of training, from its latest checkpoint to its last step.

    Args:
        family: model, data and loss.
        settings: a resolved job's training.
        world: this process's place.
        checkpoints: where the state is kept.
        save_best: writes the averaged weights whenever the validation loss is the best so far.
        observer: curves, TensorBoard and Prometheus; only the first process writes.
        intervals: how often to log, validate and save.
        should_stop: whether this process was told to stop.
        pulse: is told what this process is at.
    """

    def __init__(
        self,
        family: Family[BatchT],
        settings: Training,
        world: World,
        checkpoints: CheckpointFolder,
        save_best: Callable[[dict[str, Tensor]], None],
        observer: Observer,
        intervals: Intervals,
        should_stop: Callable[[], bool],
        pulse: Pulse | None = None,
    ) -> None:
        self._family = family
        self._settings = settings
        self._world = world
        self._checkpoints = checkpoints
        self._save_best = save_best
        self._observer = observer
        self._every = intervals
        self._should_stop = should_stop
        self._pulse = pulse or Pulse()
        self._slices = divide(settings, world.size)
        precision = world.agreed(choose_precision(settings.precision, world.device, exact=family.needs_fp32))
        self.state = RunState(seed=settings.seed, precision=precision)
        restored = checkpoints.load_latest(world)
        if restored is not None:
            self.state = restored.state
        self._saved = self.state.step
        self._breaks_off = False
        model = family.model(world.device)
        self._engine = make_engine(model, family.blocks(model), settings, world, self.state.precision)
        decay = settings.regularization.weight_averaging
        self._averaged = AveragedWeights(self._engine.parts(), decay, self._engine.refresh)
        if restored is not None:
            self._engine.restore(restored.weights, restored.optimizer)
            self._averaged.restore(self._engine.divided(restored.averaged))
        self._buffers = Buffers(self._engine.model)
        self._taken: Taken | None = None
        self._norm = 0.0
        self._why = "it was the last of them"

    def run(self) -> bool:
        """Train to the last step; ``False`` if told to stop before, with everything saved.

        Raises:
            JobError: too many steps are bad.
        """
        progress = Progress("train", self._settings.steps) if self._world.is_first else None
        self._observer.begin(self.state, of=self._settings.steps)
        self._engine.model.train()
        if self.state.validation_due:
            if not self._validate(progress):
                return self._stop()
            if self.state.step == self._settings.steps:
                self._checkpoint()
        while (finished := self._go_through(progress)) is None:
            self._go_back(progress)
        if not finished:
            return self._stop()
        self._finish()
        return True

    def _go_through(self, progress: Progress | None) -> bool | None:
        """Steps until the last (``True``), a stop (``False``), or until too many were bad (``None``)."""
        state, every, steps = self.state, self._every, self._settings.steps
        passes_of = self._passes_at(state.step, state.position)
        batches = Prefetcher(passes_of, range(state.step, steps), gives_up=self._should_stop)
        began, waited = time.perf_counter() - state.seconds, state.waited_seconds
        with closing(iter(batches)) as each:
            while state.step < steps:
                self._pulse.enter(Phase.DATA, state.step)
                passes = next(each, None)
                counted, stop = self._agree(passes)
                if stop or passes is None:
                    self._look(progress)
                    return None if self._is_in_trouble else False
                self._step(passes, counted, progress)
                self._checkpoints.check()
                if self._is_in_trouble:
                    return None
                state.step += 1
                state.position += self._settings.batch.size
                state.seconds = time.perf_counter() - began
                state.waited_seconds = waited + batches.waited_seconds
                is_last = state.step == steps
                logs, validates, saves = (
                    state.step % interval == 0 or is_last for interval in (every.log, every.validate, every.checkpoint)
                )
                if logs or validates or saves:
                    self._look(progress)
                    if self._is_in_trouble:
                        return None
                if logs:
                    self._log(progress)
                if validates and not self._validate(progress):
                    return False
                if saves:
                    if state.history.last_was_good:
                        state.history.fruitless = 0
                    self._checkpoint()
        return True

    def _stop(self) -> bool:
        """All processes together: save where training stands, and go no further."""
        if self.state.step != self._saved:
            self._checkpoint()
        self._finish()
        return False

    def _finish(self) -> None:
        """Leave no process behind that still writes: one that ends takes the others of its machine along."""
        self._pulse.enter(Phase.END, self.state.step)
        self._checkpoints.wait()
        self._world.barrier()

    def _go_back(self, progress: Progress | None) -> None:
        """Go on from the last good checkpoint with the data that comes next: past those of the bad steps.

        Raises:
            JobError: that was done often enough, or there is no checkpoint.
        """
        self._pulse.enter(Phase.CHECKPOINT, self.state.step)
        self._checkpoints.wait()
        found = self._checkpoints.good_step() if self._world.is_first else None
        step = self._world.agreed(found)
        left = self.state
        if step is None or left.history.fruitless >= self._settings.bad_steps.fail_after:
            batches = [self._family.files(self._positions(position)) for _, position in left.history.recent]
            size = self._settings.batch.size
            raise hopeless(left.history, self._why, batches, self._settings, size=size, back=step is not None)
        if self._world.is_first:
            self._checkpoints.discard_after(step)
        self._world.barrier()
        restored = self._checkpoints.load(step, self._world)
        self._engine.restore(restored.weights, restored.optimizer)
        self._averaged.restore(self._engine.divided(restored.averaged))
        self.state = restored.state
        self._saved = -1  # not with this history
        self.state.position = left.position
        self.state.history = left.history.back_at(restored.state.history)
        self.state.seconds, self.state.waited_seconds = left.seconds, left.waited_seconds
        self.state.counted = left.counted
        self.state.best_loss, self.state.best_step = left.best_loss, left.best_step
        self._observer.go_back(self.state, of=self._settings.steps)
        if progress:
            bad = len(left.history.recent)
            progress.say(f"step {left.step}: {bad} bad steps; going back to step {step}, and on past their data")

    def _passes_at(self, step: int, position: int) -> Callable[[int], list[Pass[BatchT]]]:
        """What makes this process's part of a step's examples, in the passes of accumulation.

        Args:
            step, position: a step and the place of its first example in the data; others lie before and after it.
        """
        ahead = position // self._settings.batch.size - step

        def passes(of: int) -> list[Pass[BatchT]]:
            return [
                (self._family.batch(positions or range(1)), bool(positions))
                for positions in self._slices.of(of + ahead, self._world.rank)
            ]

        return passes

    def _positions(self, first: int) -> range:
        return range(first, first + self._settings.batch.size)

    def _agree(self, passes: list[Pass[BatchT]] | None) -> tuple[int, bool]:
        """Before a step: (predictions that it trains on, whether any process wants to stop).

        A process that was told to stop while it waited for its data has none.
        """
        self._pulse.enter(Phase.MEET, self.state.step)
        counted = sum(batch.counted for batch, counts in passes or () if counts)
        wishes = torch.tensor([counted, int(passes is None or self._should_stop())])
        counted, stop = (int(value) for value in self._world.sum(wishes).tolist())
        return counted, stop > 0

    def _step(self, passes: list[Pass[BatchT]], counted: int, progress: Progress | None) -> None:
        """One optimizer step on so many predictions.

        Nothing here waits for a GPU but the look at the step before, whose numbers are there by now.
        """
        self._pulse.enter(Phase.COMPUTE, self.state.step)
        reseed(self._settings.seed, self.state.step, self._world.rank)
        rate = self._rate(self.state.step)
        sums: dict[str, Tensor] = {}
        if self._buffers:
            self._look(progress)  # before they change: the average takes up those of the step before
        self._buffers.remember()
        for index, (batch, counts) in enumerate(passes):
            self._engine.begin_pass(last=index == len(passes) - 1)
            with autocast(self._world.device, self.state.precision):
                loss = self._family.loss(self._engine.parallel, batch.to(self._world.device))
            # Gradients are averaged over processes: times their number makes it the mean over the whole batch.
            self._engine.backward(loss.total * (counts * self._world.size / counted))
            for name, value in {TOTAL: loss.total, **loss.terms}.items():
                sums[name] = sums.get(name, 0.0) + value.detach().double() * counts
        self._look(progress)  # before the weights change: the average takes up those of the step before

        def judge(norm: Tensor, overflowed: Tensor | None) -> Tensor:
            own = torch.stack([*sums.values(), norm.to(self._world.device).double() / self._world.size])
            summed = self._world.sum(own)
            limits = self.state.history.limits(self._settings.bad_steps.spike)
            bad = is_bad(summed[0] / counted, summed[-1], limits, overflowed)
            out = bad if overflowed is None else bad | overflowed
            if self._is_in_trouble:
                return torch.ones_like(out, dtype=torch.float32)
            look = Look(torch.cat([summed, torch.stack([bad, out]).double()]))
            self._taken = Taken(self.state.step, self.state.position, counted, limits, tuple(sums), look)
            self._buffers.restore(out)
            return out.float()

        self._engine.step(rate, judge)

    def _look(self, progress: Progress | None) -> None:
        """Take up the numbers of the step that was last given to the engine."""
        if self._taken is None:
            return
        taken, self._taken = self._taken, None
        *sums, norm, bad, left_out = taken.look.read()
        loss, state = sums[0] / taken.counted, self.state
        if not left_out:
            self._averaged.update(taken.step)
        if bad:
            kind, self._why = what_is_wrong(loss, norm, taken.limits)
            state.history.add_bad(taken.step + 1, taken.position, kind)
            self._observer.history(state)
            if progress:
                files = listed(self._family.files(self._positions(taken.position)))
                progress.say(f"step {taken.step + 1} is left out: {self._why}; its examples are of {files}")
            return
        self._norm = norm if not left_out else self._norm
        state.history.add_good(taken.step + 1, loss, None if left_out else norm)
        state.counted += taken.counted
        state.window_counted += taken.counted
        for name, value in zip(taken.names, sums, strict=True):
            state.window[name] = state.window.get(name, 0.0) + value

    @property
    def _is_in_trouble(self) -> bool:
        return in_trouble(self.state.history, self._settings.bad_steps)

    def _rate(self, step: int) -> float:
        return learning_rate(
            step, self._settings.steps, self._settings.optimizer.learning_rate, self._settings.schedule
        )

    def _log(self, progress: Progress | None) -> None:
        state = self.state
        if not state.window_counted:  # every step was bad
            return
        terms = {name: value / state.window_counted for name, value in state.window.items()}
        loss = terms.pop(TOTAL)
        state.loss = loss
        speed = state.counted / state.seconds
        remaining = (self._settings.steps - state.step) * state.seconds / state.step
        self._observer.step(
            state,
            of=self._settings.steps,
            loss=loss,
            terms=terms,
            learning_rate=self._rate(self.state.step - 1),
            gradient_norm=self._norm,
            tokens_per_second=speed,
            eta_seconds=remaining,
        )
        if progress:
            progress.update(state.step, f"loss {loss:.4f}  {speed:,.0f} tokens/s  {clock_text(remaining)} left")
        state.window = {}
        state.window_counted = 0

    @torch.no_grad()
    def _validate(self, progress: Progress | None) -> bool:
        """Judge the averaged weights, and keep them if they are the best; whether all did so to the end.

        If any process is told to stop, all break off together, and it is done again before training goes on.
        """
        self._pulse.enter(Phase.VALIDATE, self.state.step)
        self.state.validation_due = True
        sums = torch.zeros(2, dtype=torch.float64, device=self._world.device)
        model = self._engine.model
        with self._averaged.in_place():
            model.eval()
            for batch, counts in self._in_step(self._family.validation(self._world.rank, self._world.size)):
                self._pulse.beat()
                with autocast(self._world.device, self.state.precision):
                    loss = self._family.judge(model, batch.to(self._world.device))
                if counts:
                    sums += torch.tensor([float(loss), batch.counted], dtype=torch.float64, device=self._world.device)
            model.train()
        if self._breaks_off:
            return False
        self.state.validation_due = False
        loss_sum, counted = self._world.sum(sums).tolist()
        if not counted:  # nothing to compare by: the newest weights are the best ones known
            self._keep_as_best()
            return True
        loss_mean = loss_sum / counted
        self.state.validation_loss, self.state.validation_step = loss_mean, self.state.step
        self._observer.validation(self.state.step, loss_mean)
        if progress:
            progress.say(f"step {self.state.step}: validation loss {loss_mean:.4f} {self._family.unit}")
        if self.state.best_loss is None or not math.isfinite(self.state.best_loss) or loss_mean < self.state.best_loss:
            self.state.best_loss, self.state.best_step = loss_mean, self.state.step
            self._keep_as_best()
        return True

    def _in_step(self, batches: Iterable[BatchT]) -> Iterator[tuple[BatchT, bool]]:
        """Batches and whether they count, until all processes are through, or one wants to stop.

        Where a forward pass needs all processes, those that are through go on with something that does not count.
        """
        mine = iter(batches)
        while True:
            batch = next(mine, None)
            wishes = torch.tensor([int(batch is not None), int(self._should_stop())])
            left, stop = self._world.sum(wishes).tolist()
            self._breaks_off = left > 0 and stop > 0
            if self._breaks_off or not left:
                return
            if batch is not None:
                yield batch, True
            elif self._engine.in_step:
                yield self._family.batch(range(1)), False

    def _keep_as_best(self) -> None:
        weights = self._engine.whole(self._averaged.weights)
        if self._world.is_first:
            self._save_best(weights)

    def _checkpoint(self) -> None:
        self._pulse.enter(Phase.CHECKPOINT, self.state.step)
        self._saved = self.state.step
        began = time.perf_counter()
        weights = self._engine.whole(self._engine.parts())
        averaged = self._engine.whole(self._averaged.weights)
        optimizer = self._engine.optimizer_state()
        if self._world.is_first:
            apart = self._engine.in_step and self._world.device.type != "cpu"
            self._checkpoints.save(self.state, weights, averaged, optimizer, apart=apart)
            self._observer.checkpoint(time.perf_counter() - began)
