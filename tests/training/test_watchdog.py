"""Training that does not go on is told from training that is slow, and ends with a word on who is stuck where."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from mtj_api.contract import ExitCode
from mtj_trainer.train.supervisor import LOST
from mtj_trainer.train.watchdog import KEEP
from support.machines import Machine, gang_arguments, lose
from support.witness import eventually

pytestmark = pytest.mark.slow

HANG_SECONDS = "2"


def watched(machines: ExitStack, folder: Path, *arguments: str, parts: Sequence[str], name: str = "0") -> Machine:
    """A machine whose launcher watches for hangs."""
    watch = ("--hang-seconds", HANG_SECONDS, "--stacks", f"{folder}/out/train/stacks")
    machine = Machine(folder, *arguments, *watch, parts=parts, name=name)
    machines.callback(lose, machine.process)
    return machine


def alone(machines: ExitStack, folder: Path, launcher: str, *parts: str) -> Machine:
    arguments = ("--standalone", "--launcher", launcher, "--nproc-per-node", str(len(parts)))
    return watched(machines, folder, *arguments, parts=parts)


def gang_of_two(machines: ExitStack, folder: Path, *parts: str) -> list[Machine]:
    return [
        watched(machines, folder, *gang, parts=parts, name=str(node))
        for node, gang in enumerate(gang_arguments(nodes=2))
    ]


def says(machine: Machine, words: str) -> bool:
    return words in machine.printed


def stacks(folder: Path) -> list[str]:
    return [path.read_text() for path in sorted(folder.glob("out/train/stacks/*/*.txt"))]


def test_the_stacks_of_all_processes_are_kept_whatever_holds_them(machines: ExitStack, tmp_path: Path) -> None:
    machine = alone(machines, tmp_path, "torchrun", "meet", "sleep", "hold", "stop")
    assert machine.end() == ExitCode.CRASHED, machine.printed
    assert "process 3 has computed step 4 for" in machine.left
    assert "(it is stopped, as by SIGSTOP); the 3 others wait; stacks of all processes: file://" in machine.left
    (kept,) = stacks(tmp_path)
    assert kept in machine.printed
    said = kept.split("\n\nprocess ")[1:]
    assert [one.split(",")[0] for one in said] == ["0: meet", "1: data", "2: compute", "3: compute"]
    assert "in data_that_never_comes" in said[1]
    assert "in call_that_never_returns" in said[2]
    assert "no stacks: it is stopped, as by SIGSTOP" in said[3]


@pytest.mark.parametrize("launcher", ["torchrun", "deepspeed"])
def test_a_stuck_process_ends_all_of_them_as_a_crash_that_says_who_is_stuck(
    machines: ExitStack, tmp_path: Path, launcher: str
) -> None:
    machine = alone(machines, tmp_path, launcher, "meet", "sleep")
    assert machine.end() == ExitCode.CRASHED, machine.printed
    assert machine.left.startswith("training hung: process 1 has waited for the data of step 4 for")
    assert "; the other waits; stacks of all processes: file://" in machine.left


def test_where_all_wait_for_each_other_all_are_named(machines: ExitStack, tmp_path: Path) -> None:
    machine = alone(machines, tmp_path, "torchrun", "meet", "meet")
    assert machine.end() == ExitCode.CRASHED, machine.printed
    assert machine.left.count("has waited for others before step 4") == 2


def test_slow_is_not_hung(machines: ExitStack, tmp_path: Path) -> None:
    machine = alone(machines, tmp_path, "torchrun", "meet-slow", "slow")
    assert machine.end() == ExitCode.DONE, machine.printed
    assert stacks(tmp_path) == []


def test_a_hang_on_one_machine_ends_the_gang_and_one_says_why(machines: ExitStack, tmp_path: Path) -> None:
    both = gang_of_two(machines, tmp_path, "sleep", "meet")
    codes = sorted(machine.end() for machine in both)
    assert codes == [ExitCode.CRASHED, ExitCode.PEER_LOST], [machine.printed for machine in both]
    crashed, other = sorted(both, key=lambda machine: machine.process.returncode)
    assert "process 0" in crashed.left
    assert "has waited for the data of step 4" in crashed.left
    assert other.left == LOST


def test_a_machine_that_is_told_to_stop_while_it_looks_into_a_hang_still_says_why(
    machines: ExitStack, tmp_path: Path
) -> None:
    both = gang_of_two(machines, tmp_path, "stop", "meet")
    for machine in both:
        eventually(partial(says, machine, "hangs: the processes of"), 60)
        machine.process.send_signal(signal.SIGTERM)
    assert sorted(machine.end() for machine in both) == [ExitCode.CRASHED, ExitCode.PEER_LOST]


def test_the_stacks_of_the_latest_hangs_are_kept(machines: ExitStack, tmp_path: Path) -> None:
    for number in range(KEEP):
        old = tmp_path / f"out/train/stacks/2026010{number}T000000Z-train/machine.txt"
        old.parent.mkdir(parents=True)
        old.write_text("old")
    assert alone(machines, tmp_path, "torchrun", "sleep").end() == ExitCode.CRASHED
    assert len(stacks(tmp_path)) == KEEP
    assert not (tmp_path / "out/train/stacks/20260100T000000Z-train").exists()


def test_a_stop_is_no_hang(machines: ExitStack, tmp_path: Path) -> None:
    machine = alone(machines, tmp_path, "torchrun", "save", "save")
    eventually(lambda: len(list(tmp_path.glob("began-*"))) == 2, 60)
    for _ in range(3):
        machine.process.send_signal(signal.SIGTERM)
    assert machine.end() == ExitCode.INTERRUPTED, machine.printed
    assert stacks(tmp_path) == []
