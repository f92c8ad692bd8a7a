"""Processes on this machine keep the contract of executors, and say how to go on."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mtj_api.contract import ExitCode
from mtj_operator.execute import Executor, LocalExecutor, Outcome
from mtj_operator.execute.executor import stage_outcome
from support.executor_contract import ExecutorContract


class TestLocalExecutor(ExecutorContract):
    """See the contract."""

    @pytest.fixture
    def new_executor(self, tmp_path: Path) -> Callable[[], Executor]:
        return lambda: LocalExecutor(tmp_path / "work", os.environ, announce=lambda _line: None, grace_seconds=20.0)


@pytest.mark.parametrize(
    ("status", "sentence", "asked_to_stop", "outcome"),
    [
        (0, "", False, Outcome(ExitCode.DONE)),
        (0, "", True, Outcome(ExitCode.DONE)),
        (65, "a.mid is broken", True, Outcome(ExitCode.WRONG_JOB, "train", "a.mid is broken")),
        (65, "", False, Outcome(ExitCode.WRONG_JOB, "train", "the job or its data cannot work as written")),
        (75, "", True, Outcome(ExitCode.INTERRUPTED, "train", "stopped; the same command goes on where it stopped")),
        (-9, "", True, Outcome(ExitCode.INTERRUPTED, "train", "stopped; the same command goes on where it stopped")),
        (
            75,
            "",
            False,
            Outcome(
                ExitCode.INTERRUPTED,
                "train",
                "something told it to stop, and it saved its work; the same command goes on where it stopped",
            ),
        ),
        (
            1,
            "the disk is full",
            False,
            Outcome(ExitCode.CRASHED, "train", "the disk is full; the same command goes on where it stopped"),
        ),
        (
            1,
            "",
            False,
            Outcome(
                ExitCode.CRASHED,
                "train",
                "it failed with exit status 1 (see above); the same command goes on where it stopped",
            ),
        ),
        (
            -9,
            "",
            False,
            Outcome(
                ExitCode.CRASHED,
                "train",
                "it was ended by SIGKILL, which the system also sends when memory runs out; "
                "the same command goes on where it stopped",
            ),
        ),
        (
            -11,
            "",
            False,
            Outcome(ExitCode.CRASHED, "train", "it was ended by SIGSEGV; the same command goes on where it stopped"),
        ),
    ],
)
def test_the_end_of_a_stage_says_what_happened_and_how_to_go_on(
    status: int, sentence: str, asked_to_stop: bool, outcome: Outcome
) -> None:
    assert stage_outcome("train", status, sentence, asked_to_stop=asked_to_stop) == outcome
