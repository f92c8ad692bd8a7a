"""TensorBoard event files, read back by TensorBoard itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mtj_trainer.storage import open_storage
from mtj_trainer.train.tensorboard import ScalarEvents


class Clock:
    """Seconds that pass by one a call."""

    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def curve(folder: Path, tag: str) -> list[tuple[int, float]]:
    events = EventAccumulator(str(folder))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(tag)]


def test_tensorboard_shows_what_was_synced(tmp_path: Path, clock: Clock) -> None:
    events = ScalarEvents(open_storage(str(tmp_path)), 0, clock)
    assert not tmp_path.exists() or not list(tmp_path.iterdir())
    for step in (10, 20):
        events.add(step, {"train/loss": 4.0 - step / 10, "train/learning_rate": 0.5})
    events.sync()
    events.add(30, {"train/loss": 1.0})
    assert curve(tmp_path, "train/loss") == [(10, 3.0), (20, 2.0)]
    events.close()
    assert curve(tmp_path, "train/loss") == [(10, 3.0), (20, 2.0), (30, 1.0)]
    assert curve(tmp_path, "train/learning_rate") == [(10, 0.5), (20, 0.5)]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_resumed_run_shows_every_step_once(tmp_path: Path, clock: Clock) -> None:
    first = ScalarEvents(open_storage(str(tmp_path)), 0, clock)
    for step in (10, 20, 30):
        first.add(step, {"loss": 1.0})
    first.close()  # the checkpoint of step 20 is the last one that was completed
    second = ScalarEvents(open_storage(str(tmp_path)), 20, clock)
    for step in (30, 40):
        second.add(step, {"loss": 2.0})
    second.close()
    assert curve(tmp_path, "loss") == [(10, 1.0), (20, 1.0), (30, 2.0), (40, 2.0)]


def test_a_new_run_removes_the_old_ones_files(tmp_path: Path, clock: Clock) -> None:
    for value in (1.0, 2.0):
        events = ScalarEvents(open_storage(str(tmp_path)), 0, clock)
        events.add(10, {"loss": value})
        events.close()
    assert curve(tmp_path, "loss") == [(10, 2.0)]


def test_a_long_run_uploads_only_what_is_new(tmp_path: Path, clock: Clock) -> None:
    events = ScalarEvents(open_storage(str(tmp_path)), 0, clock)
    steps = range(30_000)
    for step in steps:
        events.add(step, {"a/fairly/long/tag": float(step)})
        if step % 10_000 == 9_999:
            events.sync()
    sizes = [path.stat().st_size for path in sorted(tmp_path.iterdir())]
    assert len(sizes) == 2
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    events.add(30_000, {"a/fairly/long/tag": 0.0})
    events.close()
    changed = [path.name for path in tmp_path.iterdir() if before.get(path.name) != path.stat().st_mtime_ns]
    assert len(changed) == 1
