"""What a stage leaves behind when it ends: its exit status, a sentence where it failed, its key figures where not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mtj_api import resolved_json
from mtj_api.contract import TERMINATION_BYTES, TERMINATION_LOG_ENV
from mtj_api.load import parse_job
from mtj_trainer.evaluate.stage import key_figures
from mtj_trainer.stage import leave_figures
from support.jobs import SMALLEST

STAGE = """
import os, signal
from mtj_api import JobError
from mtj_trainer.stage import PeerLost, leave_figures, run_stage
from mtj_trainer.storage import StorageUnavailable
def main(job):
    {}
run_stage(main, has_gang={})
"""


@pytest.mark.parametrize("has_gang", [False, True], ids=["alone", "gang"])
@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ("leave_figures({'a': 1.5}, model='s3://m/x')", 0, '{"model":"s3://m/x","figures":{"a":1.5}}\n'),
        ("raise JobError('no music', where='spec', instead='add some')", 65, "spec: no music; add some"),
        ("raise StorageUnavailable('S3 cannot be reached')", 1, "S3 cannot be reached"),
        ("raise ValueError('no such thing\\nand more')", 1, "ValueError: no such thing"),
        ("raise KeyError", 1, "KeyError"),
        ("raise PeerLost", 69, None),
        ("raise PeerLost('a later run took over')", 69, "a later run took over"),
        ("os.kill(os.getpid(), signal.SIGTERM)", 75, None),
    ],
)
def test_a_stage_ends_by_the_contract(tmp_path: Path, body: str, code: int, words: str | None, has_gang: bool) -> None:
    job, left = tmp_path / "job.json", tmp_path / "left"
    job.write_text(resolved_json(parse_job(SMALLEST).job))
    command = [sys.executable, "-c", STAGE.format(body, has_gang), "--job", str(job)]
    ended = subprocess.run(command, env={TERMINATION_LOG_ENV: str(left)}, capture_output=True, text=True, timeout=60)
    assert ended.returncode == code, ended.stderr
    assert (left.read_text() if left.exists() else None) == words
    assert ended.stdout == ""


@pytest.mark.parametrize("has_gang", [False, True], ids=["alone", "gang"])
def test_a_job_that_this_version_does_not_understand_is_wrong(tmp_path: Path, has_gang: bool) -> None:
    job, left = tmp_path / "job.json", tmp_path / "left"
    written = json.loads(resolved_json(parse_job(SMALLEST).job))
    written["spec"]["dataset"]["midi"]["tokenizer"] = "newest"
    job.write_text(json.dumps(written))
    command = [sys.executable, "-c", STAGE.format("pass", has_gang), "--job", str(job)]
    ended = subprocess.run(command, env={TERMINATION_LOG_ENV: str(left)}, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 65, ended.stderr
    assert left.read_text().startswith(f'{job}: spec.dataset.midi.tokenizer: "newest" is not a choice here; write ')


def test_what_a_stage_has_begun_is_done_when_it_ends_with_its_gang(tmp_path: Path) -> None:
    job = tmp_path / "job.json"
    job.write_text(resolved_json(parse_job(SMALLEST).job))
    body = """
    import time
    from concurrent.futures import ThreadPoolExecutor
    def write():
        time.sleep(0.3)
        print("written", end="")
    ThreadPoolExecutor(1).submit(write)
"""
    command = [sys.executable, "-c", STAGE.format(body, True), "--job", str(job)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "written", "")


@pytest.fixture
def left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(TERMINATION_LOG_ENV, str(tmp_path / "left"))
    return tmp_path / "left"


def test_figures_that_there_is_no_room_for_are_left_out_from_the_end(left: Path) -> None:
    figures = {f"figure.number.{number:04d}": number / 3 for number in range(1000)}
    leave_figures(figures, checkpoint={"step": 300, "url": "s3://music/checkpoints/" + "ü" * 200})
    assert TERMINATION_BYTES - 60 < left.stat().st_size <= TERMINATION_BYTES
    said = json.loads(left.read_text())
    assert said["checkpoint"]["step"] == 300
    assert said["figures"] == dict(list(figures.items())[: len(said["figures"])])


def test_what_is_no_number_is_not_told(left: Path) -> None:
    leave_figures({"a": float("nan"), "b": 1.0, "c": float("inf")})
    assert json.loads(left.read_text()) == {"figures": {"b": 1.0}}


def test_without_an_executor_figures_go_nowhere(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(TERMINATION_LOG_ENV, raising=False)
    leave_figures({"a": 1.0})
    assert capfd.readouterr() == ("", "")


def test_an_evaluation_tells_its_key_figures_alone() -> None:
    figures = {"sample.1.seconds": 2.0, "baseline.ngram.nll": 1.0, "heldout.nll": 0.5, "floor.x": 3.0}
    assert list(key_figures(figures).items()) == [("heldout.nll", 0.5), ("baseline.ngram.nll", 1.0)]
