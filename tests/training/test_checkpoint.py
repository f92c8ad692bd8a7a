"""Checkpoints come back as they were, only those that are whole count, and each folder has one writer."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mtj_api import JobError
from mtj_api.contract import WORK_DIR_ENV
from mtj_trainer.storage import Storage, StorageUnavailable, open_storage
from mtj_trainer.storage.atomic import PARTIAL_SUFFIX
from mtj_trainer.storage.folder import FolderStorage
from mtj_trainer.train.checkpoint import (
    MANIFEST,
    CheckpointFolder,
    Faults,
    Owner,
    Patience,
    RunState,
    Superseded,
    reseed,
)
from mtj_trainer.train.checkpoint.retention import Retention
from mtj_trainer.train.checkpoint.state import FILES
from mtj_trainer.train.distributed import World
from mtj_trainer.train.pulse import Pulse, feel
from support.crashing_storage import Countdown, Crash, CrashingStorage


@pytest.fixture(params=["folder", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "s3":
        return open_storage(request.getfixturevalue("s3_url"))
    return open_storage(str(tmp_path))


def save(folder: CheckpointFolder, step: int, validation_loss: float | None = None) -> dict[str, torch.Tensor]:
    weights = {"layer": torch.full((3, 2), float(step), dtype=torch.float32)}
    optimizer = {"optimizer": {"state": {0: {"exp_avg": torch.ones(2) * step}}, "param_groups": [{"lr": 0.1}]}}
    state = RunState(step=step, seed=3, validation_loss=validation_loss, validation_step=step)
    folder.save(state, weights, weights, optimizer)
    return weights


def saved(storage: Storage, *steps: int) -> None:
    folder = CheckpointFolder(storage, keep=len(steps))
    for step in steps:
        save(folder, step)
    folder.wait()


def test_the_latest_comes_back_whole(storage: Storage) -> None:
    folder = CheckpointFolder(storage, keep=2)
    save(folder, 10)
    weights = save(folder, 20)
    weights["layer"].zero_()  # training goes on; what was saved must not change
    folder.wait()
    restored = CheckpointFolder(storage, keep=2).load_latest()
    assert restored is not None
    assert restored.state == RunState(step=20, seed=3, validation_step=20, saved=restored.state.saved)
    assert torch.equal(restored.weights["layer"], torch.full((3, 2), 20.0))
    assert torch.equal(restored.optimizer["optimizer"]["state"][0]["exp_avg"], torch.full((2,), 20.0))


def test_a_process_goes_on_while_a_checkpoint_comes(storage: Storage, tmp_path_factory: pytest.TempPathFactory) -> None:
    saved(storage, 10)
    pulses = tmp_path_factory.mktemp("pulses")
    folder = CheckpointFolder(storage, keep=1, on_piece=Pulse(pulses / "0.pulse").beat)
    assert folder.find() == 10
    (beat,) = feel(pulses)
    assert beat.count == len(FILES)  # of one piece each


@dataclass(frozen=True)
class Thread(World):
    """A thread of this process in the place of a training process.

    Attributes:
        together: where all of them wait for each other.
        said: by rank, what each tells the others.
    """

    together: Barrier
    said: dict[int, Any]

    def gathered(self, said: Any) -> list[Any]:
        self.said[self.rank] = said
        self.together.wait()
        found = [self.said[rank] for rank in range(self.size)]
        self.together.wait()
        return found

    def agreed(self, choice: Any) -> Any:
        return self.gathered(choice)[0]

    def barrier(self) -> None:
        self.gathered(None)


def test_a_machine_fetches_a_checkpoint_once_to_begin_with_and_to_go_back_to(
    storage: Storage, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(storage, 10, 20)
    monkeypatch.setenv(WORK_DIR_ENV, str(tmp_path_factory.mktemp("work")))
    machines, processes = 2, 3
    size = machines * processes
    together, said = Barrier(size), dict[int, Any]()

    def begin_and_go_back(rank: int) -> tuple[int, int, int]:
        pieces: list[None] = []
        world = Thread(rank, rank % processes, size, torch.device("cpu"), together, said)
        folder = CheckpointFolder(storage, keep=2, on_piece=lambda: pieces.append(None))
        newest = folder.load_latest(world)
        assert newest is not None
        return newest.state.step, folder.load(10, world).state.step, len(pieces)

    with ThreadPoolExecutor(size) as each:
        found = list(each.map(begin_and_go_back, range(size)))
    fetches, shares = (20, 10, 2 * len(FILES)), (20, 10, 0)
    assert found == [fetches, shares, shares] * machines


def test_weights_that_are_tied_come_back_under_both_names(storage: Storage) -> None:
    folder, table = CheckpointFolder(storage, keep=1), torch.arange(6.0).view(2, 3)
    folder.save(RunState(step=1), {"embedding": table, "head": table, "empty": table[:0]}, {}, {})
    folder.wait()
    restored = folder.load_latest()
    assert restored is not None
    assert {name: tensor.tolist() for name, tensor in restored.weights.items()} == {
        "embedding": table.tolist(),
        "head": table.tolist(),
        "empty": [],
    }


def test_no_checkpoint_is_no_error(storage: Storage) -> None:
    assert CheckpointFolder(storage, keep=1).load_latest() is None


def lost(name: str) -> Callable[[Storage], None]:
    return lambda checkpoint: checkpoint.delete(name)


def truncated(name: str) -> Callable[[Storage], None]:
    return lambda checkpoint: checkpoint.write(name, checkpoint.read(name)[:-1])


def flipped(name: str) -> Callable[[Storage], None]:
    def damage(checkpoint: Storage) -> None:
        data = bytearray(checkpoint.read(name))
        data[len(data) // 2] ^= 1
        checkpoint.write(name, bytes(data))

    return damage


def written(name: str, data: bytes) -> Callable[[Storage], None]:
    return lambda checkpoint: checkpoint.write(name, data)


def all_but_manifest_lost(checkpoint: Storage) -> None:
    for entry in list(checkpoint.list()):
        if entry.key != MANIFEST:
            checkpoint.delete(entry.key)


DAMAGES = {
    "nothing": (lambda checkpoint: None, 20, ""),
    "a file too many": (written("notes.txt", b"mine"), 20, ""),
    "no manifest: it was never complete": (lost(MANIFEST), 10, ""),
    "weights lost": (lost("weights.safetensors"), 10, "weights.safetensors is lost"),
    "averaged weights lost": (lost("averaged.safetensors"), 10, "averaged.safetensors is lost"),
    "optimizer lost": (lost("optimizer.pt"), 10, "optimizer.pt is lost"),
    "state lost": (lost("state.json"), 10, "state.json is lost"),
    "all lost but the manifest": (all_but_manifest_lost, 10, "optimizer.pt is lost"),
    "weights truncated": (truncated("weights.safetensors"), 10, "weights.safetensors has 95 bytes and not 96"),
    "optimizer emptied": (written("optimizer.pt", b""), 10, "optimizer.pt has 0 bytes and not "),
    "a bit of the weights": (flipped("weights.safetensors"), 10, "weights.safetensors has another checksum"),
    "a bit of the averaged weights": (flipped("averaged.safetensors"), 10, "averaged.safetensors has another"),
    "a bit of the optimizer": (flipped("optimizer.pt"), 10, "optimizer.pt has another checksum"),
    "a bit of the state": (flipped("state.json"), 10, "state.json has another checksum"),
    "manifest truncated": (truncated(MANIFEST), 20, ""),  # by its final line feed
    "manifest garbage": (written(MANIFEST, b"\0garbage"), 10, "manifest.json is no manifest"),
    "manifest empty": (written(MANIFEST, b""), 10, "manifest.json is no manifest"),
    "manifest of another kind": (written(MANIFEST, b"[1]"), 10, "manifest.json is no manifest"),
    "manifest of nothing": (
        written(MANIFEST, b'{"files": {}, "validation_loss": null}'),
        10,
        "manifest.json does not name optimizer.pt",
    ),
}
"""By what happened to the newer of the checkpoints 10 and 20: which is loaded, and what is said."""


@pytest.mark.parametrize(("damage", "loaded", "said"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_checkpoint_is_passed_over(
    storage: Storage, damage: Callable[[Storage], None], loaded: int, said: str
) -> None:
    saved(storage, 10, 20)
    checkpoint = storage.child("step-00000020")
    damage(checkpoint)
    lines: list[str] = []
    folder = CheckpointFolder(storage, keep=2, say=lines.append)
    restored = folder.load_latest()
    assert restored is not None
    assert restored.state.step == loaded
    assert torch.equal(restored.weights["layer"], torch.full((3, 2), float(loaded)))
    assert folder.latest is not None
    assert folder.latest.step == loaded
    assert folder.faults == Faults(damaged=int(bool(said)))
    if said:
        (line,) = lines
        assert line.startswith(f"warning: {checkpoint.url}: {said}")
        assert line.endswith("; the checkpoint of step 10 is used instead")


def test_where_every_checkpoint_is_damaged_nothing_is_begun_anew(storage: Storage) -> None:
    saved(storage, 10, 20)
    for step in (10, 20):
        storage.delete(f"step-{step:08d}/weights.safetensors")
    with pytest.raises(JobError) as error:
        CheckpointFolder(storage, keep=2).load_latest()
    assert str(error.value) == (
        f"{storage.url}: no checkpoint is as it was written (step-00000020: weights.safetensors is lost);"
        " delete that folder to begin anew"
    )


def test_what_is_damaged_or_unfinished_goes_with_the_next_checkpoint_and_counts_for_nothing(storage: Storage) -> None:
    saved(storage, 10, 20, 30)
    storage.delete("step-00000030/state.json")
    storage.write("step-00000025/weights.safetensors", b"begun")
    storage.write("notes/step-00000001", b"mine")
    folder = CheckpointFolder(storage, keep=2)
    assert folder.find() == 20
    save(folder, 22)
    folder.wait()
    assert folder.complete_steps() == [20, 22]
    assert {entry.key.split("/")[0] for entry in storage.list()} == {"notes", "step-00000020", "step-00000022"}


def test_what_was_begun_goes_even_where_no_file_of_it_was_done(tmp_path: Path) -> None:
    storage = open_storage(str(tmp_path))
    saved(storage, 10)
    begun = tmp_path / "step-00000013"
    begun.mkdir()
    (begun / f".optimizer{PARTIAL_SUFFIX}").write_bytes(b"half")
    folder = CheckpointFolder(storage, keep=1)
    save(folder, 20)
    folder.wait()
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000020"]


class FillingUp(FolderStorage):
    """A folder that is away for the moment in which a checkpoint is to be deleted, and has no room afterwards."""

    is_full = False

    def delete_tree(self, prefix: str) -> None:
        if not FillingUp.is_full:
            FillingUp.is_full = True
            raise StorageUnavailable("it does not answer", where=self.url)
        super().delete_tree(prefix)

    def write(self, key: str, data: bytes | Path) -> None:
        if FillingUp.is_full:
            raise StorageUnavailable("it is full", where=self.url)
        super().write(key, data)

    def child(self, prefix: str) -> FillingUp:
        return FillingUp(self.local_path(prefix))


def test_what_is_complete_stays_so_when_those_before_it_cannot_be_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FillingUp, "is_full", False)
    folder = CheckpointFolder(FillingUp(tmp_path), keep=1, patience=Patience(last_seconds=1.0, first_pause=0.01))
    for step in (10, 20):
        save(folder, step)
    folder.wait()
    assert folder.faults.failed == 1
    assert folder.complete_steps() == [20]
    assert not (tmp_path / "step-00000010").exists()


RETENTION = [
    pytest.param(Retention(1), "10 20 30", "30", id="the newest"),
    pytest.param(Retention(2), "10 20 30", "20 30", id="the two newest"),
    pytest.param(Retention(5), "10 20", "10 20", id="more than there are"),
    pytest.param(Retention(1, best=1), "10=3 20=1 30=2", "20 30", id="and the best"),
    pytest.param(Retention(1, best=2), "10=3 20=1 30=2", "20 30", id="the newest may be among the best"),
    pytest.param(Retention(1, best=1), "10=1 20=1 30=2", "20 30", id="of equals the later"),
    pytest.param(Retention(1, best=2), "10 20=5 30", "20 30", id="only what was measured can be best"),
    pytest.param(Retention(1, best=1), "10=nan 20=5 30=inf 40=6", "20 40", id="nor what is no number"),
    pytest.param(Retention(1, every_steps=20), "10 20 30 40 50", "20 40 50", id="and every second"),
    pytest.param(
        Retention(2, interval=10), "10 20 30 34", "20 30 34", id="one that a stop made takes no other's place"
    ),
    pytest.param(Retention(2, interval=10), "20 30 34 40", "30 40", id="and goes when there is a newer one"),
    pytest.param(Retention(1, 1, 30), "10=1 20=2 30=3 40=4 50=5", "10 30 50", id="all three"),
]


@pytest.mark.parametrize(("retention", "there", "kept"), RETENTION)
def test_what_is_kept(retention: Retention, there: str, kept: str) -> None:
    parts = [part.partition("=") for part in there.split()]
    losses = {int(step): float(loss) if loss else None for step, _, loss in parts}
    assert retention.kept(losses) == {int(step) for step in kept.split()}


def test_what_is_kept_is_decided_in_the_next_process_as_well(storage: Storage) -> None:
    losses = {10: 3.0, 20: 1.0, 30: 2.0, 40: 5.0, 50: 4.0}
    for step, loss in losses.items():
        folder = CheckpointFolder(storage, keep=1, keep_best=1, keep_every_steps=30)
        save(folder, step, loss)
        folder.wait()
    assert folder.complete_steps() == [20, 30, 50]


def test_the_best_weights_are_stored_before_the_checkpoint_that_knows_of_them(storage: Storage) -> None:
    folder = CheckpointFolder(storage, keep=1)
    folder.save_best(lambda best: best.write("config.json", b"old"))
    folder.save_best(lambda best: best.write("model", b"new"))
    assert not list(storage.list())
    save(folder, 10)
    folder.wait()
    assert {entry.key for entry in storage.list("best")} == {"best/model"}


OWNERS = [
    pytest.param(Owner("a", ""), Owner("a", ""), None, id="the same job, once more"),
    pytest.param(Owner("a", ""), Owner("b", ""), None, id="under another name, in the same output"),
    pytest.param(Owner("a", "s3://x"), Owner("a", "s3://x"), None, id="with an output elsewhere"),
    pytest.param(Owner("a", "s3://x"), Owner("a", "s3://y"), JobError, id="another output: another job"),
    pytest.param(Owner("a", "s3://x"), Owner("a", ""), JobError, id="one whose output this is"),
    pytest.param(Owner("a", "", "u-1"), Owner("a", "", "u-2"), None, id="the next attempt"),
    pytest.param(Owner("a", "", "u-2"), Owner("a", "", "u-2"), None, id="the same attempt"),
    pytest.param(Owner("a", "", "u-10"), Owner("a", "", "u-9"), Superseded, id="an attempt that came late"),
    pytest.param(Owner("a", "", "u-9"), Owner("a", "", "v-1"), None, id="a job that was made anew"),
    pytest.param(Owner("a", "", "u-9"), Owner("a", ""), None, id="from a cluster to a laptop"),
]


@pytest.mark.parametrize(("first", "second", "refused"), OWNERS)
def test_who_may_take_over(storage: Storage, first: Owner, second: Owner, refused: type[Exception] | None) -> None:
    first.claim(storage)
    if refused is not None:
        with pytest.raises(refused):
            second.claim(storage)
        first.check(storage)
        return
    second.claim(storage)
    second.check(storage)
    with pytest.raises(Superseded, match="a later run of this job writes its checkpoints here"):
        first.check(storage)


def test_another_jobs_checkpoints_are_refused_in_a_sentence(tmp_path: Path) -> None:
    storage = open_storage(str(tmp_path))
    Owner.of("chorales", "s3://music/a", storage.url, "").claim(storage)
    with pytest.raises(JobError) as error:
        Owner.of("preludes", "s3://music/b", storage.url, "").claim(storage)
    assert str(error.value) == (
        f"{storage.url}: the job chorales, whose output is s3://music/a, has its checkpoints here;"
        " write another spec.checkpoint.url, or delete owner.json there if this job is to go on from them"
    )


def test_an_output_that_was_moved_keeps_its_checkpoints(tmp_path: Path) -> None:
    before = open_storage(str(tmp_path / "before"))
    Owner.of("chorales", before.url, before.child("checkpoints").url, "").claim(before.child("checkpoints"))
    (tmp_path / "before").rename(tmp_path / "after")
    after = open_storage(str(tmp_path / "after"))
    Owner.of("chorales", after.url, after.child("checkpoints").url, "").claim(after.child("checkpoints"))


def test_a_mark_that_cannot_be_read_is_made_anew(storage: Storage) -> None:
    storage.write("owner.json", b"\0garbage")
    owner = Owner("a", "")
    owner.claim(storage)
    owner.check(storage)


def test_the_process_that_was_replaced_completes_nothing_and_deletes_nothing(storage: Storage) -> None:
    cut_off = CheckpointFolder(storage, keep=1, owner=Owner("a", "", "u-1"))
    cut_off.claim()
    save(cut_off, 10)
    cut_off.wait()
    its_successor = CheckpointFolder(storage, keep=2, owner=Owner("a", "", "u-2"))
    its_successor.claim()
    assert its_successor.find() == 10
    save(cut_off, 20)
    with pytest.raises(Superseded):
        cut_off.wait()
    save(its_successor, 20)
    its_successor.wait()
    assert its_successor.complete_steps() == [10, 20]


@settings(max_examples=30, deadline=None)
@given(
    runs=st.lists(st.tuples(st.integers(0, 3), st.none() | st.integers(0, 25)), min_size=1, max_size=5),
    keep=st.integers(1, 2),
)
def test_whenever_a_process_dies_the_next_goes_on_from_the_newest_that_was_complete(
    runs: list[tuple[int, int | None]], keep: int
) -> None:
    """Each run saves so many checkpoints, and dies at one of its changes to the storage, or does not."""
    with tempfile.TemporaryDirectory() as path:
        storage = open_storage(path)
        complete = begun = 0
        for saves, dies_after in runs:
            folder = CheckpointFolder(CrashingStorage(storage, Countdown(dies_after)), keep)
            restored = folder.load_latest()
            step = restored.state.step if restored else 0
            assert complete <= step <= begun
            if restored:
                assert torch.equal(restored.weights["layer"], torch.full((3, 2), float(step)))
            complete = step
            try:
                for begun in range(step + 1, step + 1 + saves):
                    save(folder, begun)
                    folder.wait()
                    complete = begun
            except Crash:
                continue
            there = {entry.key.split("/")[0] for entry in storage.list()}
            assert not saves or len(there) == min(keep, len(folder.complete_steps()))


def test_random_numbers_follow_from_seed_step_and_rank_alone() -> None:
    def drawn(seed: int, step: int, rank: int) -> float:
        reseed(seed, step, rank)
        return float(torch.rand(()))

    assert drawn(1, 2, 3) == drawn(1, 2, 3)
    highest = 2**31 - 1
    assert len({drawn(seed, step, rank) for seed in (0, 1, highest) for step in (0, 1) for rank in (0, 1)}) == 12
