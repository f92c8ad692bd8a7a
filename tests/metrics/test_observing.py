"""What is logged is written when the storage is there again, and changes nothing of how training ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mtj_trainer.storage import StorageUnavailable
from mtj_trainer.storage.folder import FolderStorage
from mtj_trainer.train.checkpoint import RunState
from mtj_trainer.train.curves import KEY, Curves
from mtj_trainer.train.metrics import TrainingMetrics
from mtj_trainer.train.observe import Observer
from mtj_trainer.train.tensorboard import ScalarEvents


class Output(FolderStorage):
    """A folder that is away at times."""

    is_away = False

    def write(self, key: str, data: bytes | Path) -> None:
        if self.is_away:
            raise StorageUnavailable("it does not answer", where=self.url)
        super().write(key, data)


def step(observer: Observer, number: int) -> None:
    observer.step(
        RunState(step=number, seconds=1.0),
        of=20,
        loss=1.0,
        terms={},
        learning_rate=0.1,
        gradient_norm=1.0,
        tokens_per_second=1.0,
        eta_seconds=1.0,
    )


@pytest.fixture
def output(tmp_path: Path) -> Output:
    return Output(tmp_path)


@pytest.fixture
def observer(output: Output) -> Observer:
    return Observer(
        TrainingMetrics("small", 0, 0, 0), Curves(output, output.child("checkpoints"), 0), ScalarEvents(output, 0)
    )


def written(output: Output) -> list[int]:
    return [json.loads(line)["step"] for line in output.read(KEY).splitlines()]


def test_what_could_not_be_written_with_the_last_checkpoint_is_written_at_the_end(
    output: Output, observer: Observer, capsys: pytest.CaptureFixture[str]
) -> None:
    step(observer, 10)
    observer.checkpoint(1.0)
    step(observer, 20)
    output.is_away = True
    observer.checkpoint(1.0)
    assert "it does not answer; curves are written with the next checkpoint" in capsys.readouterr().err
    output.is_away = False
    observer.close()
    assert written(output) == [10, 20]


def test_only_what_belongs_to_a_checkpoint_is_written(output: Output, observer: Observer) -> None:
    step(observer, 10)
    observer.checkpoint(1.0)
    step(observer, 20)
    observer.close()
    assert written(output) == [10], "another attempt may have gone on from there by now"


def test_why_training_ended_is_told_whatever_becomes_of_the_curves(
    output: Output, observer: Observer, capsys: pytest.CaptureFixture[str]
) -> None:
    step(observer, 10)
    output.is_away = True
    observer.close()  # as an error passes by, which tells of the newest checkpoint, too
    assert "the curves lack their end" in capsys.readouterr().err
