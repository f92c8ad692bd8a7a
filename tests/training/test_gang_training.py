"""Real training on two machines, each played by a launcher with a process of its own: together or not at all."""

from __future__ import annotations

import json
import re
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from mtj_api.contract import ExitCode
from mtj_trainer.train.supervisor import LOST
from support.gang_of_two import gang
from support.machines import lose
from support.witness import eventually

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, data: str) -> list[tuple[int, float]]:
    """The losses of a run that goes on to its end."""
    with ExitStack() as machines:
        job = gang(machines, tmp_path_factory.mktemp("undisturbed"), data)
        job.run()
        return job.losses


@pytest.mark.parametrize(("told", "after"), [(0, "from the beginning"), (1, "train     10/")])
def test_a_stop_of_one_machine_is_a_checkpoint_of_both_and_a_rerun_computes_the_same(
    machines: ExitStack, tmp_path: Path, data: str, undisturbed: list[tuple[int, float]], told: int, after: str
) -> None:
    stopped = gang(machines, tmp_path, data)
    both = stopped.start()
    eventually(lambda: after in stopped.printed, 240)
    both[told].send_signal(signal.SIGTERM)
    assert [machine.wait(120) for machine in both] == [ExitCode.INTERRUPTED] * 2, stopped.printed
    said = [json.loads(stopped.left(node)) for node in (0, 1) if stopped.left(node)]
    assert [words["figures"]["train.steps"] for words in said] == (stopped.complete or [0])
    assert stopped.complete or after == "from the beginning"
    assert "Traceback" not in stopped.printed
    stopped.run()
    assert stopped.losses == undisturbed


@pytest.mark.parametrize(
    ("phase", "reaches", "told", "steps"),
    [
        pytest.param("loading", (0, 1), 0, [], id="loading the model"),
        pytest.param("data", (1,), 1, [3], id="waiting for data"),
        pytest.param("validating", (0, 1), 1, [4], id="validating"),
        pytest.param("saving", (0,), 0, [2], id="storing a checkpoint"),
    ],
)
def test_a_stop_saves_what_is_done_on_both_whatever_they_are_at(
    machines: ExitStack, tmp_path: Path, data: str, phase: str, reaches: tuple[int, ...], told: int, steps: list[int]
) -> None:
    every = {"validating": {"validate": 4}, "saving": {"checkpoint": 2}}.get(phase, {})
    held_up = gang(machines, tmp_path, data, held_up=phase, **every)
    both = held_up.start()
    eventually(lambda: held_up.has_reached(*reaches), 240)
    for _ in range(2):
        both[told].send_signal(signal.SIGTERM)
    assert [machine.wait(120) for machine in both] == [ExitCode.INTERRUPTED] * 2, held_up.printed
    assert "Traceback" not in held_up.printed
    if phase == "data":  # data are made ahead, so that the steps before may not have been done yet
        assert len(held_up.complete) == 1
        assert 1 <= held_up.complete[0] <= steps[0]
        return
    assert held_up.complete[: len(steps)] == steps
    assert len(held_up.complete) == len(steps) or phase == "saving"  # it may have come further while it was stored


def test_a_hang_ends_both_with_a_word_on_where_and_a_rerun_goes_on(
    machines: ExitStack, tmp_path: Path, data: str
) -> None:
    hung = gang(machines, tmp_path, data, steps=6, checkpoint=2, held_up="data", hang_seconds=5)
    codes = [machine.wait(240) for machine in hung.start()]
    assert sorted(codes) == [ExitCode.CRASHED, ExitCode.PEER_LOST], hung.printed
    why = hung.left(codes.index(ExitCode.CRASHED))
    assert re.match(r"training hung: process 1( on \S+)? has waited for the data of step 4 for ", why), why
    assert "in data_that_never_comes" in hung.stacks
    assert hung.stacks.count("process ") == 2
    assert hung.complete == [2]
    rerun = gang(machines, tmp_path, data, steps=6, checkpoint=2)
    rerun.run()
    assert "going on from the checkpoint of step 2" in rerun.printed


@pytest.mark.parametrize("lost", [0, 1])
def test_a_lost_machine_lets_the_other_go_and_not_to_blame(
    machines: ExitStack, tmp_path: Path, data: str, lost: int
) -> None:
    broken = gang(machines, tmp_path, data, steps=100_000)
    both = broken.start()
    eventually(lambda: "from the beginning" in broken.printed, 240)
    lose(both[lost])
    assert both[1 - lost].wait(120) == ExitCode.PEER_LOST, broken.printed
    assert broken.left(1 - lost) == LOST


def test_a_wrong_job_is_said_by_whoever_finds_it_first(machines: ExitStack, tmp_path: Path, data: str) -> None:
    wrong = gang(machines, tmp_path, data)
    path = tmp_path / "job.json"
    job = json.loads(path.read_text())
    job["spec"]["training"]["precision"] = "fp16"  # what the tests run on has no GPU
    path.write_text(json.dumps(job))
    codes = [machine.wait(240) for machine in wrong.start()]
    assert ExitCode.WRONG_JOB in codes, wrong.printed
    assert set(codes) <= {ExitCode.WRONG_JOB, ExitCode.PEER_LOST}
    found = codes.index(ExitCode.WRONG_JOB)
    assert wrong.left(found) == "spec.training.precision: fp16 needs a GPU; write auto, bf16 or fp32"
