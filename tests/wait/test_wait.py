"""The stage that waits: by the lock of the other job, which no crash leaves behind, and by what that has recorded."""

from __future__ import annotations

import fcntl
import threading
import time
from pathlib import Path

import pytest

from mtj_api import JobError
from mtj_api.waits import Awaited
from mtj_operator.execute.lock import held, tell
from mtj_trainer import wait
from mtj_trainer.wait import stage_under_way, wait_for


def awaited(folder: Path, stage: str) -> Awaited:
    return Awaited("spec.dataset.from", "songs", stage, f"{folder}/out", f"{folder}/work", "mtj run songs.yaml")


def record(folder: Path, stage: str) -> None:
    (folder / "out/stages").mkdir(parents=True, exist_ok=True)
    (folder / f"out/stages/{stage}.json").write_text("{}")


def test_the_lock_tells_which_stage_is_under_way(tmp_path: Path) -> None:
    assert stage_under_way(tmp_path) is None
    with held(tmp_path) as lock:
        assert stage_under_way(tmp_path) == ""
        for stage in ("wait", "prepare", "train"):
            tell(lock, stage)
            assert stage_under_way(tmp_path) == stage
    assert stage_under_way(tmp_path) is None


def test_who_looks_keeps_nobody_from_running(tmp_path: Path) -> None:
    with held(tmp_path), pytest.raises(JobError), held(tmp_path):
        pass
    with (tmp_path / "lock").open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        threading.Timer(0.03, fcntl.flock, (looking, fcntl.LOCK_UN)).start()
        with held(tmp_path):
            pass
        time.sleep(0.05)


@pytest.mark.parametrize("wanted", ["prepare", "publish"])
def test_what_is_there_is_taken_at_once(tmp_path: Path, wanted: str) -> None:
    record(tmp_path, wanted)
    wait_for(awaited(tmp_path, wanted))


@pytest.mark.parametrize(("wanted", "result"), [("prepare", "prepared its data"), ("publish", "published a model")])
def test_what_nobody_is_at_work_on_is_refused(tmp_path: Path, wanted: str, result: str) -> None:
    with pytest.raises(JobError) as refused:
        wait_for(awaited(tmp_path, wanted))
    assert str(refused.value) == (
        f"spec.dataset.from.job: job songs does not run and has not {result}; run it to its end: mtj run songs.yaml"
    )


def test_data_are_taken_while_their_job_trains(tmp_path: Path) -> None:
    record(tmp_path, "prepare")
    with held(tmp_path / "work") as lock:
        tell(lock, "train")
        wait_for(awaited(tmp_path, "prepare"))


@pytest.mark.parametrize(("wanted", "stage"), [("prepare", "prepare"), ("publish", "train")])
def test_what_an_earlier_run_left_is_not_taken_while_it_is_made_anew(
    tmp_path: Path, wanted: str, stage: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(wait, "_EVERY", 0.01)
    record(tmp_path, wanted)
    waiting = threading.Thread(target=wait_for, args=(awaited(tmp_path, wanted),))
    with held(tmp_path / "work") as lock:
        tell(lock, stage)
        waiting.start()
        waiting.join(0.1)
        assert waiting.is_alive()
    waiting.join(30)
    assert capsys.readouterr().out.splitlines() == [
        f"wait      waits for job songs, which is at stage {stage}",
        "wait      job songs has what is wanted",
    ]
