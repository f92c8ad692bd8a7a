"""The checkpoints of one run: written, found, verified, and deleted when there are newer ones."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from mtj_api import JobError
from mtj_trainer.storage import Storage, StorageUnavailable, open_storage
from mtj_trainer.storage.mirror import mirror
from mtj_trainer.train.checkpoint.background import Background, Patience, Write
from mtj_trainer.train.checkpoint.local import LocalFolder, disk_explained, write_locally
from mtj_trainer.train.checkpoint.manifest import MANIFEST, Damaged, Manifest, Sum, summed
from mtj_trainer.train.checkpoint.owner import Owner
from mtj_trainer.train.checkpoint.retention import Retention
from mtj_trainer.train.checkpoint.state import (
    AVERAGED,
    FILES,
    OPTIMIZER,
    STATE,
    WEIGHTS,
    Complete,
    Faults,
    Restored,
    RunState,
)
from mtj_trainer.train.distributed import World

BEST = "best"
"""The folder, beside the checkpoints, of the best weights in the form in which they are published."""

_PREFIX = "step-"


class CheckpointFolder:
    """The checkpoints of one run.

    Storing happens in a thread while training goes on, one checkpoint at a time. Tensors in the machine's memory are
    first written to its own disk, while training waits: a copy in memory would be as large as the whole training
    state, next to the next step. Those of a GPU are copied into the machine's memory, and training goes on at once.

    Args:
        folder: where they lie.
        keep: how many of the newest are kept.
        keep_best: how many of those with the lowest validation loss.
        keep_every_steps: those at multiples of this are kept; 0 for none.
        interval: steps between those that are saved in any case; a stop makes others besides.
        owner: who writes here; ``None`` where nobody else ever does.
        patience: how long a storage that fails is borne.
        say: is given a line for whatever goes wrong and does not end training.
        on_piece: is called whenever some more of one that is fetched has come, in the thread that waits for it.

    Attributes:
        latest: the newest one that is complete, as far as this process has read or written one.
    """

    def __init__(
        self,
        folder: Storage,
        keep: int,
        *,
        keep_best: int = 0,
        keep_every_steps: int = 0,
        interval: int = 1,
        owner: Owner | None = None,
        patience: Patience | None = None,
        say: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True),
        on_piece: Callable[[], None] = lambda: None,
    ) -> None:
        self.folder = folder
        self.latest: Complete | None = None
        self._retention = Retention(keep, keep_best, keep_every_steps, interval)
        self._owner = owner
        self._say = say
        self._on_piece = on_piece
        self._background = Background(patience or Patience(), say)
        self._losses: dict[int, float | None] = {}
        self._damaged: set[int] = set()
        self._passed_over = 0
        self._found: tuple[int, LocalFolder] | None = None
        self._best: LocalFolder | None = None
        self._lock = threading.Lock()

    @property
    def faults(self) -> Faults:
        """What went wrong so far."""
        return Faults(self._background.failed, self._passed_over)

    def claim(self) -> None:
        """Mark the folder as this process's; only the process that writes does so, and before it reads.

        Raises:
            JobError: it is another job's.
            Superseded: a later attempt at this job has it.
        """
        if self._owner is not None:
            self._owner.claim(self.folder)

    def complete_steps(self) -> list[int]:
        """Steps of the checkpoints that were completed, oldest first."""
        found = (entry.key.split("/") for entry in self.folder.list())
        steps = (_step(parts[0]) for parts in found if len(parts) == 2 and parts[1] == MANIFEST)
        return sorted(step for step in steps if step is not None)

    def find(self, world: World | None = None) -> int | None:
        """Bring the newest checkpoint whose files are all as they were written to this machine's disk.

        Returns:
            Its step, which the first process chooses for all; ``None`` where no checkpoint was ever completed.

        Raises:
            JobError: there are some, and all are damaged.
        """
        if self._found is None:
            if world is None or world.is_first:
                self._found = self._newest_whole()
            step = self._found[0] if self._found else None
            if world is not None:
                step = world.agreed(step)
                if step is not None:
                    self._found = step, self._once_a_machine(step, world, self._found[1] if self._found else None)
        if self._found is None:
            return None
        step, local = self._found
        self.latest = self._complete(step, RunState.read((local.path / STATE).read_bytes()))
        return step

    def load_latest(self, world: World | None = None) -> Restored | None:
        """What ``find`` finds, or has found; ``None`` where no checkpoint was ever completed."""
        if self.find(world) is None:
            return None
        assert self._found is not None
        (_, local), self._found = self._found, None
        return _restored(local)

    def load(self, step: int, world: World) -> Restored:
        """The complete checkpoint of a step, as ``good_step`` found it in the first process.

        Raises:
            StorageUnavailable: it is not as it was written.
        """
        restored = _restored(self._once_a_machine(step, world))
        self.latest = self._complete(step, restored.state)
        return restored

    def good_step(self) -> int | None:
        """Where to go back to: the newest complete checkpoint after a good step, else the oldest; ``None`` for none.

        Those that a stop made in between do not count where there are others: a run that was stopped is to go back to
        where it would have gone without.
        """
        steps = [step for step in self.complete_steps() if step not in self._damaged]
        steps = self._retention.regular(steps) or steps
        return max([step for step in steps if self._was_good(step)] or steps[:1], default=None)

    def discard_after(self, step: int) -> None:
        """Delete the checkpoints of later steps."""
        for later in self.complete_steps():
            if later > step:
                self._delete(later)

    def save_best(self, write: Callable[[Storage], None]) -> None:
        """Take down the best weights so far; they are stored with the next checkpoint, before it is complete.

        Args:
            write: writes them to a storage, in the form in which they are published.

        Raises:
            StorageUnavailable: the disk is full. Training cannot go on then: its state would tell of better weights
                than are stored.
        """
        with self._told():
            local = LocalFolder()
            with disk_explained(local.path):
                write(open_storage(str(local.path)))
        with self._lock:
            self._best = local

    def save(
        self,
        state: RunState,
        weights: dict[str, Tensor],
        averaged: dict[str, Tensor],
        optimizer: dict[str, Any],
        *,
        apart: bool = False,
    ) -> None:
        """Take down everything as it is now, and store it behind the training's back.

        Waits for the one before it; one that cannot be stored for now gives way to this one.

        Args:
            apart: whether nothing else has these tensors, so that they need not be copied.

        Raises:
            JobError: the one before cannot be stored, or storing has failed for too long.
            Superseded: a later process writes these checkpoints.
        """
        with self._told():
            self._background.await_turn()
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        taken = RunState.read(replace(state, saved=now).written())
        saved = _Saved(taken, {OPTIMIZER: optimizer, WEIGHTS: weights, AVERAGED: averaged})
        if apart:
            pass
        elif any(tensor.device.type != "cpu" for tensor in weights.values()):
            saved.contents = _copied(saved.contents)
        else:
            try:
                saved.write_locally()
            except StorageUnavailable as error:
                with self._told():
                    self._background.fail(error)
                return
        self._background.submit(Write(lambda: self._store(saved), saved.drop))

    def check(self) -> None:
        """Raise what ended the storing, if anything has, as ``save`` would."""
        with self._told():
            self._background.check()

    def wait(self) -> None:
        """Until everything saved is stored; raises what went wrong, as ``save`` would."""
        with self._told():
            self._background.wait()

    def _newest_whole(self) -> tuple[int, LocalFolder] | None:
        steps = self.complete_steps()
        passed: list[str] = []
        for step in reversed(steps):
            try:
                found = self._fetched(step)
            except Damaged as damage:
                passed.append(f"{self.folder.child(_name(step)).url}: {damage}")
                self._damaged.add(step)
                self._passed_over += 1
            else:
                for line in passed:
                    self._say(f"warning: {line}; the checkpoint of step {step} is used instead")
                return step, found
        if not steps:
            return None
        raise JobError(
            f"no checkpoint is as it was written ({passed[0].rpartition('/')[2]})",
            where=self.folder.url,
            instead="delete that folder to begin anew",
        )

    def _fetched(self, step: int) -> LocalFolder:
        """A checkpoint's files on this machine's disk.

        Raises:
            Damaged: one of them is not as it was written.
            StorageUnavailable: they cannot be reached, or this disk is full.
        """
        folder, local, name = self.folder.child(_name(step)), LocalFolder(), MANIFEST
        try:
            manifest = Manifest.decode(folder.read(MANIFEST))
            with disk_explained(local.path):
                for name in FILES:
                    manifest.check(name, folder.fetch(name, local.path / name, self._on_piece))
        except FileNotFoundError:
            local.close()
            raise Damaged(f"{name} is lost") from None
        except BaseException:
            local.close()
            raise
        self._losses[step] = manifest.validation_loss
        return local

    def _once_a_machine(self, step: int, world: World, found: LocalFolder | None = None) -> LocalFolder:
        """The checkpoint that the first process chose. One process of a machine fetches it; the others share its files.

        Eight copies of what fills half a disk would not fit on it, and would take eight times as long.

        Args:
            found: what this process has of it already.
        """
        if found is None and world.local_rank == 0:
            found = self._fetched_as_chosen(step)
        places = world.gathered(str(found.path) if found else "")
        if found is None:
            found = LocalFolder()
            try:
                found.share(Path(places[world.rank - world.local_rank]))
            except OSError:  # they do not share a disk
                found = self._fetched_as_chosen(step)
        world.barrier()  # nobody is through with its files, and removes them, before all have them
        return found

    def _fetched_as_chosen(self, step: int) -> LocalFolder:
        try:
            return self._fetched(step)
        except Damaged as damage:
            where = self.folder.child(_name(step)).url
            raise StorageUnavailable(f"{damage}, though the first process found it whole", where=where) from None

    def _store(self, saved: _Saved) -> None:
        """Store what was saved; may be called again after it failed."""
        self._check_owner()
        if not saved.is_complete:  # else only the deletion of others failed, for which it is not to be taken apart
            self._make_complete(saved)
            self._check_owner()  # again, as that takes its time
        self._tidy()

    def _make_complete(self, saved: _Saved) -> None:
        step, folder = saved.state.step, self.folder.child(_name(saved.state.step))
        saved.write_locally()
        folder.delete(MANIFEST)
        for name in FILES:
            if name not in saved.stored:
                path = saved.local.path / name
                folder.write(name, path)
                saved.stored[name] = summed(path)
        self._store_best()
        self._check_owner()
        folder.write(MANIFEST, Manifest(saved.stored, saved.validation_loss).encode())
        saved.is_complete = True
        self._losses[step] = saved.validation_loss
        self._damaged.discard(step)
        self.latest = self._complete(step, saved.state)

    def _store_best(self) -> None:
        with self._lock:
            best, self._best = self._best, None
        if best is None:
            return
        try:
            mirror(open_storage(str(best.path)), self.folder.child(BEST), copies=best.path.parent)
        except BaseException:
            with self._lock:
                self._best = self._best or best  # there may be better ones by now
            raise

    def _tidy(self) -> None:
        """Delete what is not kept: checkpoints that newer ones replace, those that are damaged, and unfinished ones."""
        parts = [entry.key.split("/") for entry in self.folder.list()]
        local = self.folder.local_path()
        begun = [] if local is None else [path.name for path in local.glob("*/")]  # even where no file was completed
        there = {step for first in (*(first for first, *_ in parts), *begun) if (step := _step(first)) is not None}
        complete = {step for first, *rest in parts if rest == [MANIFEST] and (step := _step(first)) is not None}
        kept = self._retention.kept({step: self._loss(step) for step in complete - self._damaged})
        for step in sorted(there - kept):
            self._delete(step)

    def _delete(self, step: int) -> None:
        self._losses.pop(step, None)
        self.folder.delete(f"{_name(step)}/{MANIFEST}")
        self.folder.delete_tree(_name(step))

    def _was_good(self, step: int) -> bool:
        """Whether the last step before a checkpoint was a good one; not where that cannot be read."""
        try:
            return RunState.read(self.folder.read(f"{_name(step)}/{STATE}")).history.last_was_good
        except (FileNotFoundError, ValueError, TypeError):
            return False

    def _loss(self, step: int) -> float | None:
        if step not in self._losses:
            try:
                self._losses[step] = Manifest.decode(self.folder.read(f"{_name(step)}/{MANIFEST}")).validation_loss
            except (Damaged, FileNotFoundError):
                return None
        return self._losses[step]

    def _complete(self, step: int, state: RunState) -> Complete:
        return Complete(step, self.folder.child(_name(step)).url, state.saved)

    def _check_owner(self) -> None:
        if self._owner is not None:
            self._owner.check(self.folder)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Add to what ends training where it can go on."""
        try:
            yield
        except JobError as error:
            newest = f"the newest complete checkpoint is that of step {self.latest.step}" if self.latest else ""
            error.instead = "; ".join(filter(None, (error.instead, newest or "no checkpoint is complete yet")))
            raise


class _Saved:
    """A checkpoint on its way.

    Attributes:
        contents: what is still in memory, by file.
        stored: what is where it belongs, by file.
        is_complete: whether all of it is, with its manifest.
    """

    def __init__(self, state: RunState, contents: dict[str, Any]) -> None:
        self.state = state
        self.contents = contents
        self.stored: dict[str, Sum] = {}
        self.is_complete = False
        self._local: LocalFolder | None = None

    @property
    def local(self) -> LocalFolder:
        assert self._local is not None
        return self._local

    @property
    def validation_loss(self) -> float | None:
        """What was measured at this very step."""
        return self.state.validation_loss if self.state.validation_step == self.state.step else None

    def write_locally(self) -> None:
        """Bring what is in memory to this machine's disk, unless that is done.

        Raises:
            Lost: the disk is full.
        """
        if self._local is not None:
            return
        local = LocalFolder()
        try:
            write_locally(self.contents, local.path)
            with disk_explained(local.path):
                (local.path / STATE).write_bytes(self.state.written())
        except BaseException:
            local.close()
            raise
        self._local = local

    def drop(self) -> None:
        """Let go of it."""
        self.contents.clear()
        if self._local is not None:
            self._local.close()


def _name(step: int) -> str:
    return f"{_PREFIX}{step:08d}"


def _step(name: str) -> int | None:
    """The step of a checkpoint's folder; ``None`` for any other name."""
    number = name.removeprefix(_PREFIX)
    return int(number) if number.isdecimal() and name == _name(int(number)) else None


def _restored(local: LocalFolder) -> Restored:
    with local:
        # Mapped, not read: model and optimizer copy from the files what they take up, and memory holds it once.
        return Restored(
            state=RunState.read((local.path / STATE).read_bytes()),
            weights=load_file(local.path / WEIGHTS),
            averaged=load_file(local.path / AVERAGED),
            optimizer=torch.load(local.path / OPTIMIZER, map_location="cpu", mmap=True, weights_only=True),
        )


def _copied(value: Any) -> Any:
    """A copy on the CPU that later training steps do not touch."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True).contiguous()
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copied(item) for item in value]
    return value
