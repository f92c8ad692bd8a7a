"""Processes on this machine: none is left behind, whatever dies, and a job runs once at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from mtj_api import JobError
from mtj_api.contract import ExitCode
from mtj_operator.execute import LocalExecutor
from mtj_operator.execute.local import MOST_TRIES, NEEDS_LESS
from mtj_operator.execute.lock import held
from support.witness import Witness, eventually, is_alive

BROOD = """
def forever(name, **how):
    program = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    child = subprocess.Popen([sys.executable, "-I", "-S", "-c", program], **how)
    note(f"{name} {child.pid}")

note(f"stage {os.getpid()}")
forever("child")
forever("session", start_new_session=True)  # as torchrun starts its workers
if os.fork() == 0:                          # as a daemon starts: its parent ends at once
    forever("daemon", start_new_session=True)
    os._exit(0)
os.wait()
note("ready")
"""
"""Leaves four processes of the kinds that escape a process group, which do not heed SIGTERM."""


def pids(witness: Witness) -> dict[str, int]:
    return {name: int(pid) for name, _, pid in (note.partition(" ") for note in witness.notes) if pid}


def executor_in(folder: Path, **how: float) -> LocalExecutor:
    return LocalExecutor(folder / "work", os.environ, announce=lambda _line: None, **how)  # type: ignore[arg-type]


def test_what_a_stage_leaves_behind_ends_with_it(tmp_path: Path, witness: Witness) -> None:
    assert executor_in(tmp_path).run(witness.plan(witness.stage("prepare", BROOD))).code == ExitCode.DONE
    assert set(pids(witness)) == {"stage", "child", "session", "daemon"}
    assert [name for name, pid in pids(witness).items() if is_alive(pid)] == []


def test_a_stage_that_does_not_stop_in_time_is_killed_with_all_that_it_started(
    tmp_path: Path, witness: Witness
) -> None:
    program = BROOD + "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    executor = executor_in(tmp_path, grace_seconds=0.2)

    def interrupt() -> None:
        witness.wait_for("ready")
        executor.stop()

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    outcome = executor.run(witness.plan(witness.stage("train", program)))
    interrupter.join()
    assert outcome.code == ExitCode.INTERRUPTED
    assert [name for name, pid in pids(witness).items() if is_alive(pid)] == []


RUNNER = """
import os, sys
from pathlib import Path
from mtj_operator.execute import LocalExecutor
from support.witness import Witness
witness = Witness(Path(sys.argv[1]))
LocalExecutor(Path(sys.argv[2]), os.environ).run(witness.plan(witness.stage("train", sys.argv[3])))
"""


def runner(tmp_path: Path, witness: Witness, program: str) -> subprocess.Popen[bytes]:
    """Another process that runs the program as a stage."""
    tests = str(Path(__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, "-c", RUNNER, str(witness.folder), str(tmp_path / "work"), program],
        env={**os.environ, "PYTHONPATH": tests},
        stdout=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV], ids=lambda number: number.name)
def test_nothing_outlives_the_executor_however_it_dies(tmp_path: Path, witness: Witness, how: signal.Signals) -> None:
    with runner(tmp_path, witness, BROOD + "time.sleep(600)") as process:
        witness.wait_for("ready")
        process.send_signal(how)
        process.wait()
        eventually(lambda: not any(is_alive(pid) for pid in pids(witness).values()))
    executor = executor_in(tmp_path)
    eventually(lambda: not locked(tmp_path / "work"))
    assert executor.run(witness.plan(witness.stage("train", "note('went on')"))).code == ExitCode.DONE


def locked(folder: Path) -> bool:
    try:
        with held(folder):
            return False
    except JobError:
        return True


def test_a_job_runs_once_at_a_time_on_a_machine(tmp_path: Path, witness: Witness) -> None:
    with runner(tmp_path, witness, "note('ready'); time.sleep(600)") as process:
        witness.wait_for("ready")
        with pytest.raises(JobError) as refused:
            executor_in(tmp_path).run(witness.plan(witness.stage("train", "note('twice')")))
        assert str(refused.value) == (
            f"{tmp_path / 'work'}: this job is already running here, as process {process.pid}; "
            "wait for it or stop it first"
        )
        process.kill()
    assert "twice" not in witness.notes


def test_each_stage_is_announced_before_it_begins(tmp_path: Path, witness: Witness) -> None:
    lines: list[str] = []

    def announce(line: str) -> None:
        lines.append(line)
        lines.extend(witness.notes)

    executor = LocalExecutor(tmp_path / "work", os.environ, announce=announce)
    executor.run(witness.plan(witness.stage("prepare", "note('done')"), witness.stage("report", "")))
    assert lines == ["[1/2] prepare", "[2/2] report", "done"]


def test_a_stage_writes_to_the_terminal_and_does_not_read_from_it(
    tmp_path: Path, witness: Witness, capfd: pytest.CaptureFixture[str]
) -> None:
    executor_in(tmp_path).run(witness.plan(witness.stage("prepare", "print('to you', len(sys.stdin.read()))")))
    assert capfd.readouterr().out == "to you 0\n"


def test_a_stage_inherits_the_environment(tmp_path: Path, witness: Witness) -> None:
    executor = LocalExecutor(tmp_path / "work", {"FROM": "outside"}, announce=lambda _line: None)
    executor.run(witness.plan(witness.stage("prepare", "note(os.environ['FROM'])")))
    assert witness.notes == ["outside"]


def test_files_for_the_stages_are_there_when_they_run(tmp_path: Path, witness: Witness) -> None:
    job = tmp_path / "work" / "job.json"
    executor = LocalExecutor(tmp_path / "work", os.environ, files={job: "a job"}, announce=lambda _line: None)
    executor.run(witness.plan(witness.stage("prepare", f"note(open({str(job)!r}).read())")))
    assert witness.notes == ["a job"]


SHRINKS = """
note(os.environ.get("MTJ_OUT_OF_MEMORY", "not told"))
if len((here / "notes").read_text().split("\\n")) <= 3:
    pathlib.Path(os.environ["MTJ_TERMINATION_LOG"]).write_text("memory ran out")
    sys.exit(71)
"""


def test_a_stage_that_ran_out_of_memory_is_told_so_and_run_again_where_that_helps(
    tmp_path: Path, witness: Witness
) -> None:
    stage = replace(witness.stage("train", SHRINKS), shrinks=True)
    assert executor_in(tmp_path).run(witness.plan(stage)).code == ExitCode.DONE
    assert witness.notes == ["not told", "1", "1"]


def test_where_it_does_not_help_the_setting_is_named(tmp_path: Path, witness: Witness) -> None:
    outcome = executor_in(tmp_path).run(witness.plan(witness.stage("train", SHRINKS)))
    assert outcome.code == ExitCode.OUT_OF_MEMORY
    assert outcome.sentence == f"memory ran out; {NEEDS_LESS}"
    assert witness.notes == ["not told"]


def test_a_stage_that_never_has_enough_is_not_run_for_ever(tmp_path: Path, witness: Witness) -> None:
    stage = replace(witness.stage("train", "note('tried'); sys.exit(71)"), shrinks=True)
    assert executor_in(tmp_path).run(witness.plan(stage)).code == ExitCode.OUT_OF_MEMORY
    assert len(witness.notes) == MOST_TRIES + 1
