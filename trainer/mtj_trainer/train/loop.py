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
from mtj_trainer.train.slices import divide


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
    ) -> None:
        self._family = family
        self._settings = settings
        self._world = world
        self._checkpoints = checkpoints
        self._save_best = save_best
        self._observer = observer
        self._every = intervals
        self._should_stop = should_stop
        self._slices = divide(settings, world.size)
        precision = world.agreed(choose_precision(settings.precision, world.device, exact=family.needs_fp32))
        self.state = RunState(seed=settings.seed, precision=precision)
        restored = checkpoints.load_latest()
        if restored is not None:
            self.state = restored.state
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
        batches = Prefetcher(self._passes_of_step, range(self.state.step, steps))
        progress = Progress("train", steps) if self._world.is_first else None
        self._observer.begin(self.state, of=steps)
        began, waited = time.perf_counter() - self.state.seconds, self.state.waited_seconds
        self._engine.model.train()
        for passes in batches:
            counted, stop, norm = self._step(passes)
            self.state.step += 1
            self.state.position += batch.size
            self.state.counted += counted
            self.state.window_counted += counted
            self.state.seconds = time.perf_counter() - began
            self.state.waited_seconds = waited + batches.waited_seconds
            is_last = self.state.step == steps
            if self.state.step % self._every.log == 0 or is_last:
                self._log(progress, norm)
            if self.state.step % self._every.validate == 0 or is_last:
                self._validate(progress)
            if self.state.step % self._every.checkpoint == 0 or is_last or stop:
                self._checkpoint()
            if stop and not is_last:
                self._finish()
                return False
        self._finish()
        return True

    def _finish(self) -> None:
        """Leave no process behind that still writes: one that ends takes the others of its machine along."""
        self._checkpoints.wait()
        self._world.barrier()

    def _passes_of_step(self, step: int) -> list[tuple[BatchT, bool]]:
        """This process's passes of a step, and whether they count: one without examples makes up the number."""
        return [
            (self._family.batch(positions or range(1)), bool(positions))
            for positions in self._slices.of(step, self._world.rank)
        ]

    def _step(self, passes: list[tuple[BatchT, bool]]) -> tuple[int, bool, Tensor]:
        """One optimizer step: (predictions trained on, whether any process wants to stop, gradient norm).

        Nothing here waits for a GPU: what is decided on lies on the CPU, and the loss stays where it is computed.
        """
        reseed(self._settings.seed, self.state.step, self._world.rank)
        rate = self._rate(self.state.step)
        wishes = torch.tensor([sum(b.counted for b, counts in passes if counts), int(self._should_stop())])
        counted, stop = (int(value) for value in self._world.sum(wishes).tolist())
        sums: dict[str, Tensor] = {}
        for index, (batch, counts) in enumerate(passes):
            self._engine.begin_pass(last=index == len(passes) - 1)
            with autocast(self._world.device, self.state.precision):
                loss = self._family.loss(self._engine.parallel, batch.to(self._world.device))
            # Gradients are averaged over processes: times their number makes it the mean over the whole batch.
            self._engine.backward(loss.total * (counts * self._world.size / counted))
            for name, value in {TOTAL: loss.total, **loss.terms}.items():
                sums[name] = sums.get(name, 0.0) + value.detach().double() * counts
        norm = self._engine.step(rate)
        self._averaged.update(self.state.step)
        summed = self._world.sum(torch.stack(list(sums.values())))
        for name, value in zip(sums, summed, strict=True):
            self._window[name] = self._window.get(name, 0.0) + value
        return counted, stop > 0, norm

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
    def _validate(self, progress: Progress | None) -> None:
        sums = torch.zeros(2, dtype=torch.float64, device=self._world.device)
        model = self._engine.model
        with self._averaged.in_place():
            model.eval()
            for batch, counts in self._in_step(self._family.validation(self._world.rank, self._world.size)):
                with autocast(self._world.device, self.state.precision):
                    loss = self._family.judge(model, batch.to(self._world.device))
                if counts:
                    sums += torch.tensor([float(loss), batch.counted], dtype=torch.float64, device=self._world.device)
            model.train()
        loss_sum, counted = self._world.sum(sums).tolist()
        if not counted:  # nothing to compare by: the newest weights are the best ones known
            self._keep_as_best()
            return
        loss_mean = loss_sum / counted
        self._observer.validation(self.state.step, loss_mean)
        if progress:
            progress.say(f"step {self.state.step}: validation loss {loss_mean:.4f} {self._family.unit}")
        if self.state.best_loss is None or loss_mean < self.state.best_loss:
            self.state.best_loss, self.state.best_step = loss_mean, self.state.step
            self._keep_as_best()

    def _in_step(self, batches: Iterable[BatchT]) -> Iterator[tuple[BatchT, bool]]:
        """Batches and whether they count. Where a forward pass needs all processes, those that are through go on with
        something that does not count, until the last is."""
        if not self._engine.in_step:
            yield from ((batch, True) for batch in batches)
            return
        mine = iter(batches)
        while True:
            batch = next(mine, None)
            if not self._world.sum(torch.tensor([int(batch is not None)])).item():
                return
            yield (batch, True) if batch is not None else (self._family.batch(range(1)), False)

    def _keep_as_best(self) -> None:
        weights = self._engine.whole(self._averaged.weights)
        if self._world.is_first:
            self._save_best(weights)

    def _checkpoint(self) -> None:
        began = time.perf_counter()
        weights = self._engine.whole(self._engine.parts())
        averaged = self._engine.whole(self._averaged.weights)
        optimizer = self._engine.optimizer_state()
        if self._world.is_first:
            self.state.window = {name: float(value) for name, value in self._window.items()}
            self._checkpoints.save(self.state, weights, averaged, optimizer)
            self._observer.checkpoint(time.perf_counter() - began)
