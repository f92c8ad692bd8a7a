"""How long training may stand still, and what is said of it when it has done so for too long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from mtj_trainer.train.hang import (
    PATIENCE,
    START_SECONDS,
    USUAL,
    Standing,
    account,
    patience,
    sentence,
    standings_of,
)
from mtj_trainer.train.pulse import Beat, Phase, Pulse, feel

HANG = 600.0
STACKS = "s3://music/out/train/stacks/20260101T000000Z"


def beat(phase: Phase, longest: float = 1.0, rank: int = 0) -> Beat:
    return Beat(rank, 1000 + rank, phase, 120, 500, 0.0, longest)


@pytest.mark.parametrize(
    ("beats", "seconds"),
    [
        pytest.param([beat(Phase.COMPUTE)], HANG, id="a step"),
        pytest.param([beat(Phase.DATA)], HANG, id="data"),
        pytest.param([beat(Phase.COMPUTE, 0.0)], PATIENCE * HANG, id="the first step compiles"),
        pytest.param([beat(Phase.COMPUTE, 400.0)], USUAL * 400.0, id="steps that take minutes"),
        pytest.param([beat(Phase.VALIDATE)], PATIENCE * HANG, id="validation"),
        pytest.param([beat(Phase.CHECKPOINT)], PATIENCE * HANG, id="a checkpoint"),
        pytest.param([beat(Phase.CHECKPOINT, 1200.0)], USUAL * 1200.0, id="checkpoints that take long"),
        pytest.param([beat(Phase.END)], PATIENCE * HANG, id="storing the results"),
        pytest.param([beat(Phase.MEET)], PATIENCE * HANG, id="all wait, for another machine or each other"),
        pytest.param([beat(Phase.MEET), beat(Phase.DATA)], HANG, id="those that wait do not decide"),
        pytest.param([beat(Phase.MEET), beat(Phase.CHECKPOINT)], PATIENCE * HANG, id="the one that is waited for does"),
        pytest.param([beat(Phase.COMPUTE), beat(Phase.VALIDATE)], PATIENCE * HANG, id="the most patient decides"),
        pytest.param([], PATIENCE * HANG, id="none has begun"),
    ],
)
def test_how_long_training_may_stand_still(beats: Sequence[Beat], seconds: float) -> None:
    assert patience(beats, max(1, len(beats)), HANG) == seconds


@pytest.mark.parametrize("beats", [[], [beat(Phase.COMPUTE)], [beat(Phase.BEGIN), beat(Phase.MEET)]])
def test_a_start_has_its_time_however_impatient_the_job_is(beats: Sequence[Beat]) -> None:
    assert patience(beats, 2, 10.0) == START_SECONDS


def at(rank: int, phase: Phase, step: int = 119, host: str = "chorales-train-1-0", stuck: str = "") -> Standing:
    return Standing(rank, host, phase, step, 612.4, stuck)


STOPPED = "it is stopped, as by SIGSTOP"


@pytest.mark.parametrize(
    ("standings", "silent", "said"),
    [
        (
            [at(0, Phase.MEET), at(3, Phase.DATA, host="chorales-train-1-1")],
            0,
            "process 3 on chorales-train-1-1 has waited for the data of step 120 for 612 s; the other waits",
        ),
        (
            [at(0, Phase.COMPUTE), at(1, Phase.COMPUTE), at(2, Phase.COMPUTE, stuck=STOPPED)],
            0,
            f"process 2 has computed step 120 for 612 s ({STOPPED}); the 2 others wait",
        ),
        (
            [at(0, Phase.COMPUTE), at(1, Phase.COMPUTE)],
            0,
            "process 0 has computed step 120 for 612 s, process 1 has computed step 120 for 612 s",
        ),
        (
            [at(0, Phase.CHECKPOINT, 120), at(1, Phase.MEET, 120)],
            0,
            "process 0 has saved the checkpoint of step 120 for 612 s; the other waits",
        ),
        (
            [at(0, Phase.VALIDATE, 120), at(1, Phase.END, 120)],
            0,
            "process 0 has validated after step 120 for 612 s; the other waits",
        ),
        (
            [at(rank, Phase.BEGIN, 0) for rank in range(5)],
            0,
            ", ".join(f"process {rank} has been starting for 612 s" for rank in range(3)) + ", 2 more likewise",
        ),
        (
            [at(0, Phase.MEET, host="host-0")],
            1,
            "process 0 on host-0 has waited for others before step 120 for 612 s, a machine does not answer",
        ),
        ([], 0, "no process has begun"),
    ],
)
def test_what_is_said_of_a_hang(standings: Sequence[Standing], silent: int, said: str) -> None:
    assert sentence(standings, silent, STACKS) == f"training hung: {said}; stacks of all processes: {STACKS}"


def test_machines_tell_each_other_where_their_processes_stand() -> None:
    one, other = [at(0, Phase.MEET), at(1, Phase.DATA)], [at(2, Phase.COMPUTE, stuck=STOPPED)]
    assert standings_of([account(one), account(other)]) == one + other


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_pulse_tells_what_a_process_is_at_and_since_when(tmp_path: Path) -> None:
    clock = Clock()
    pulse = Pulse(tmp_path / "3.pulse", 3, clock)
    (before,) = feel(tmp_path)
    assert (before.rank, before.phase, before.count, before.longest) == (3, Phase.BEGIN, 0, 0.0)
    for step, took in enumerate([60.0, 2.0, 3.0, 1.0]):
        pulse.enter(Phase.COMPUTE, step)
        clock.now += took
    pulse.enter(Phase.DATA, 4)
    pulse.enter(Phase.COMPUTE, 4)
    (beat,) = feel(tmp_path)
    assert beat == replace(before, phase=Phase.COMPUTE, step=4, count=6, since=66.0, longest=3.0)
    assert pulse.seconds == {Phase.BEGIN: 0.0, Phase.COMPUTE: 66.0, Phase.DATA: 0.0}


@pytest.mark.parametrize("line", ["", "7 data", "x data 1 2 3.0 4.0\n", "7 nonsense 1 2 3.0 4.0\n"])
def test_what_is_no_pulse_is_passed_over(tmp_path: Path, line: str) -> None:
    (tmp_path / "0.pulse").write_text(line)
    (tmp_path / "other.pulse").write_text("7 data 1 2 3.0 4.0\n")
    assert feel(tmp_path) == []


def test_a_pulse_that_cannot_be_told_harms_nothing(tmp_path: Path) -> None:
    Pulse(tmp_path / "no-such-folder" / "0.pulse").beat()
