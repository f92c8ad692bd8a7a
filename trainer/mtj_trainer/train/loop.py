"""The training loop: read it in a sitting.

Every process runs it in step. What differs between them is the slice of each batch that they compute; whatever
decides where to go (losses, requests to stop) is summed over all of them first, so that they never part ways.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic

import torch
from torch import Tensor

from mtj_api import JobError
from mtj_api.spec import Training
from mtj_trainer.families.family import BatchT, Family
from mtj_trainer.progress import Progress, clock_text
from mtj_trainer.train.checkpoint import CheckpointFolder, RunState, reseed
from mtj_trainer.train.distributed import World
from mtj_trainer.train.engine import make_engine
from mtj_trainer.train.observe import Observer
from mtj_trainer.train.optimization import AveragedWeights, learning_rate
from mtj_trainer.train.precision import autocast, choose_precision
from mtj_trainer.train.prefetch import Prefetcher
from mtj_trainer.train.pulse import Phase, Pulse


@dataclass(frozen=True)
class Intervals:
    """How often things are done, in steps."""

    log: int
    validate: int
    checkpoint: int


TOTAL = "loss"
"""The name of the whole loss beside its terms."""


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
        if settings.batch.size % (settings.batch.accumulation * world.size):
            raise JobError(
                f"{settings.batch.size} sequences cannot be shared evenly by {world.size} processes"
                f" in {settings.batch.accumulation} passes",
                where="spec.training.batch.size",
                instead=f"write a multiple of {settings.batch.accumulation * world.size}",
            )
        precision = world.agreed(choose_precision(settings.precision, world.device, exact=family.needs_fp32))
        self.state = RunState(seed=settings.seed, precision=precision)
        restored = checkpoints.load_latest()
        if restored is not None:
            self.state = restored.state
        self._saved = self.state.step
        self._breaks_off = False
        self._engine = make_engine(family.model(world.device), settings, world, self.state.precision)
        decay = settings.regularization.weight_averaging
        self._averaged = AveragedWeights(self._engine.parts(), decay, self._engine.refresh)
        if restored is not None:
            self._engine.restore(restored.weights, restored.optimizer)
            self._averaged.restore(self._engine.divided(restored.averaged))
        self._window = {
            name: torch.tensor(value, dtype=torch.float64, device=world.device)
            for name, value in self.state.window.items()
        }

    def run(self) -> bool:
        """Train to the last step; ``False`` if told to stop before, with everything saved."""
        steps, batch = self._settings.steps, self._settings.batch
        progress = Progress("train", steps) if self._world.is_first else None
        self._observer.begin(self.state, of=steps)
        began, waited = time.perf_counter() - self.state.seconds, self.state.waited_seconds
        self._engine.model.train()
        if self.state.validation_due:
            if not self._validate(progress):
                return self._stop()
            if self.state.step == steps:
                self._checkpoint()
        batches = Prefetcher(self._passes_of_step, range(self.state.step, steps), gives_up=self._should_stop)
        stream = iter(batches)
        while self.state.step < steps:
            self._pulse.enter(Phase.DATA, self.state.step)
            passes = next(stream, None)
            counted, stop = self._agree(passes)
            if stop or passes is None:
                return self._stop()
            norm = self._step(passes, counted)
            self.state.step += 1
            self.state.position += batch.size
            self.state.counted += counted
            self.state.window_counted += counted
            self.state.seconds = time.perf_counter() - began
            self.state.waited_seconds = waited + batches.waited_seconds
            is_last = self.state.step == steps
            if self.state.step % self._every.log == 0 or is_last:
                self._log(progress, norm)
            if (self.state.step % self._every.validate == 0 or is_last) and not self._validate(progress):
                return self._stop()
            if self.state.step % self._every.checkpoint == 0 or is_last:
                self._checkpoint()
        self._finish()
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

    def _passes_of_step(self, step: int) -> list[BatchT]:
        """This process's part of a step's examples, divided into the passes of accumulation."""
        accumulation = self._settings.batch.accumulation
        mine = self._settings.batch.size // (self._world.size * accumulation)
        first = step * self._settings.batch.size + self._world.rank * mine * accumulation
        return [
            self._family.batch(range(first + part * mine, first + (part + 1) * mine)) for part in range(accumulation)
        ]

    def _agree(self, passes: list[BatchT] | None) -> tuple[int, bool]:
        """Before a step: (predictions that it trains on, whether any process wants to stop).

        A process that was told to stop while it waited for its data has none.
        """
        self._pulse.enter(Phase.MEET, self.state.step)
        wishes = torch.tensor([sum(b.counted for b in passes or ()), int(passes is None or self._should_stop())])
        counted, stop = (int(value) for value in self._world.sum(wishes).tolist())
        return counted, stop > 0

    def _step(self, passes: list[BatchT], counted: int) -> Tensor:
        """One optimizer step on so many predictions; the gradient norm.

        Nothing here waits for a GPU: what is decided on lies on the CPU, and the loss stays where it is computed.
        """
        self._pulse.enter(Phase.COMPUTE, self.state.step)
        reseed(self._settings.seed, self.state.step, self._world.rank)
        rate = self._rate(self.state.step)
        sums: dict[str, Tensor] = {}
        for index, batch in enumerate(passes):
            self._engine.begin_pass(last=index == len(passes) - 1)
            with autocast(self._world.device, self.state.precision):
                loss = self._family.loss(self._engine.parallel, batch.to(self._world.device))
            # Gradients are averaged over processes: times their number makes it the mean over the whole batch.
            self._engine.backward(loss.total * (self._world.size / counted))
            for name, value in {TOTAL: loss.total, **loss.terms}.items():
                sums[name] = sums.get(name, 0.0) + value.detach().double()
        norm = self._engine.step(rate)
        self._averaged.update(self.state.step)
        summed = self._world.sum(torch.stack(list(sums.values())))
        for name, value in zip(sums, summed, strict=True):
            self._window[name] = self._window.get(name, 0.0) + value
        return norm

    def _rate(self, step: int) -> float:
        return learning_rate(
            step, self._settings.steps, self._settings.optimizer.learning_rate, self._settings.schedule
        )

    def _log(self, progress: Progress | None, norm: Tensor) -> None:
        state = self.state
        terms = {name: float(value) / state.window_counted for name, value in self._window.items()}
        loss = terms.pop(TOTAL)
        if loss != loss:
            raise JobError(
                f"the loss became not a number at step {state.step}",
                where="spec.training.optimizer.learningRate",
                instead=f"lower it below {self._settings.optimizer.learning_rate:g}, or write precision: fp32",
            )
        state.loss = loss
        speed = state.counted / state.seconds
        remaining = (self._settings.steps - state.step) * state.seconds / state.step
        self._observer.step(
            state,
            of=self._settings.steps,
            loss=loss,
            terms=terms,
            learning_rate=self._rate(self.state.step - 1),
            gradient_norm=float(norm),
            tokens_per_second=speed,
            eta_seconds=remaining,
        )
        if progress:
            progress.update(state.step, f"loss {loss:.4f}  {speed:,.0f} tokens/s  {clock_text(remaining)} left")
        self._window = {}
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
        self._observer.validation(self.state.step, loss_mean)
        if progress:
            progress.say(f"step {self.state.step}: validation loss {loss_mean:.4f} {self._family.unit}")
        if self.state.best_loss is None or loss_mean < self.state.best_loss:
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
            self.state.window = {name: float(value) for name, value in self._window.items()}
            self._checkpoints.save(self.state, weights, averaged, optimizer)
            self._observer.checkpoint(time.perf_counter() - began)
