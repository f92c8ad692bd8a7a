"""Checkpoints come back as they were, and only complete ones count."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mtj_trainer.storage import Storage, open_storage
from mtj_trainer.train.checkpoint import MANIFEST, CheckpointFolder, RunState, reseed


@pytest.fixture(params=["folder", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "s3":
        return open_storage(request.getfixturevalue("s3_url"))
    return open_storage(str(tmp_path))


def save(folder: CheckpointFolder, step: int) -> dict[str, torch.Tensor]:
    weights = {"layer": torch.full((3, 2), float(step), dtype=torch.float32)}
    optimizer = {"optimizer": {"state": {0: {"exp_avg": torch.ones(2) * step}}, "param_groups": [{"lr": 0.1}]}}
    folder.save(RunState(step=step, seed=3, best_loss=1.5), weights, weights, optimizer)
    return weights


def test_the_latest_comes_back_whole(storage: Storage) -> None:
    folder = CheckpointFolder(storage, keep=2)
    save(folder, 10)
    weights = save(folder, 20)
    weights["layer"].zero_()  # training goes on; what was saved must not change
    folder.wait()
    restored = CheckpointFolder(storage, keep=2).load_latest()
    assert restored is not None
    assert restored.state == RunState(step=20, seed=3, best_loss=1.5)
    assert torch.equal(restored.weights["layer"], torch.full((3, 2), 20.0))
    assert torch.equal(restored.optimizer["optimizer"]["state"][0]["exp_avg"], torch.full((2,), 20.0))


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


def test_the_newest_are_kept(storage: Storage) -> None:
    folder = CheckpointFolder(storage, keep=2)
    for step in (10, 20, 30, 40):
        save(folder, step)
    folder.wait()
    assert folder.complete_steps() == [30, 40]
    assert {entry.key.split("/")[0] for entry in storage.list()} == {"step-00000030", "step-00000040"}


def test_one_that_was_not_finished_is_passed_over(storage: Storage) -> None:
    folder = CheckpointFolder(storage, keep=3)
    save(folder, 10)
    save(folder, 20)
    folder.wait()
    storage.delete(f"step-00000020/{MANIFEST}")
    restored = folder.load_latest()
    assert restored is not None
    assert restored.state.step == 10


def test_no_checkpoint_is_no_error(storage: Storage) -> None:
    assert CheckpointFolder(storage, keep=1).load_latest() is None


def test_random_numbers_follow_from_seed_step_and_rank_alone() -> None:
    def drawn(seed: int, step: int, rank: int) -> float:
        reseed(seed, step, rank)
        return float(torch.rand(()))

    assert drawn(1, 2, 3) == drawn(1, 2, 3)
    assert len({drawn(seed, step, rank) for seed in (0, 1) for step in (0, 1) for rank in (0, 1)}) == 8
