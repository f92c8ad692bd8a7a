"""Training processes on one machine and on those of a gang: how they are stopped, and what their end means."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from mtj_api.contract import ExitCode
from mtj_trainer.train.gang import Gang
from mtj_trainer.train.launch import parse
from mtj_trainer.train.launchers import Failure
from mtj_trainer.train.supervisor import LOST, sentence, verdict
from support.machines import Machine, gang_arguments, lose
from support.witness import eventually

PEER_LOST, INTERRUPTED, WRONG_JOB, OUT_OF_MEMORY, CRASHED = (
    ExitCode.PEER_LOST,
    ExitCode.INTERRUPTED,
    ExitCode.WRONG_JOB,
    ExitCode.OUT_OF_MEMORY,
    ExitCode.CRASHED,
)


@pytest.mark.parametrize(
    ("codes", "seen", "expected"),
    [
        pytest.param([], "", ExitCode.DONE, id="all done"),
        pytest.param([], "stopped", ExitCode.DONE, id="told to stop when all was done"),
        pytest.param([1], "", CRASHED, id="a crash"),
        pytest.param([7, -15], "", CRASHED, id="any other status is a crash"),
        pytest.param([65, 65], "", WRONG_JOB, id="all find the job wrong"),
        pytest.param([69, 65], "", WRONG_JOB, id="the others left before the one that found it wrong"),
        pytest.param([69, 1], "lost", CRASHED, id="the others left before the one that crashed"),
        pytest.param([-9, 69], "", CRASHED, id="out of memory, and those that it took along"),
        pytest.param([75, 75], "stopped", INTERRUPTED, id="stopped"),
        pytest.param([75, -15], "", INTERRUPTED, id="stopped through another machine; one was slow to leave"),
        pytest.param([-15, -15], "stopped", INTERRUPTED, id="stopped before there was anything to save"),
        pytest.param(None, "stopped", INTERRUPTED, id="stopped while waiting for others"),
        pytest.param([-9, 75], "stopped killed", INTERRUPTED, id="one would not end and was killed"),
        pytest.param([-9, 75], "stopped", CRASHED, id="one ran out of memory while it saved"),
        pytest.param([69, 71], "", OUT_OF_MEMORY, id="one found no memory and took the others along"),
        pytest.param([71, 65], "", WRONG_JOB, id="two found no memory, and one that nothing will help"),
        pytest.param([69, 69], "", PEER_LOST, id="another machine is gone"),
        pytest.param([-15, -15], "lost", PEER_LOST, id="another machine is gone before the first step"),
        pytest.param([-6, 69], "lost", PEER_LOST, id="NCCL ended a process whose peers are gone"),
        pytest.param([-6, 69], "", CRASHED, id="an abort of its own"),
        pytest.param([-9], "lost killed", PEER_LOST, id="one waited for a lost machine and was killed"),
        pytest.param(None, "lost", PEER_LOST, id="another machine is gone before the processes began"),
        pytest.param([-15], "", CRASHED, id="somebody ended a process"),
        pytest.param([-9, -9], "hung killed", CRASHED, id="the gang hung"),
        pytest.param([-9, -9], "lost killed", PEER_LOST, id="the gang hung, and another machine says so"),
    ],
)
def test_what_the_end_of_processes_means(codes: Sequence[int] | None, seen: str, expected: ExitCode) -> None:
    failures = None if codes is None else [Failure(code) for code in codes]
    flags = seen.split()
    found = verdict(
        failures, stopped="stopped" in flags, lost="lost" in flags, killed="killed" in flags, hung="hung" in flags
    )
    assert found is expected


@pytest.mark.parametrize(
    ("code", "failures", "expected"),
    [
        (PEER_LOST, [Failure(69, 1)], LOST),
        (CRASHED, [Failure(-9, 3)], "training process 3 was ended by SIGKILL, which the system sends when memory .*"),
        (CRASHED, [Failure(-9)], "a training process was ended by SIGKILL, .*"),
        (OUT_OF_MEMORY, [Failure(-9, 3)], "the system ended training process 3, as memory ran out"),
        (OUT_OF_MEMORY, [Failure(71, 3)], ""),
        (CRASHED, [Failure(1, 0)], ""),
        (WRONG_JOB, [Failure(65, 0)], ""),
        (INTERRUPTED, [Failure(75, 0)], ""),
    ],
)
def test_a_sentence_is_said_where_no_process_can(code: ExitCode, failures: list[Failure], expected: str) -> None:
    assert re.fullmatch(expected, sentence(code, failures))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["-m", "x"], "either --standalone or --master-addr is needed"),
        (["--nnodes", "2", "--node-rank", "2", "--master-addr", "a", "-m", "x"], "--node-rank must be from 0 to 1"),
        (["--standalone"], "the following arguments are required: -m"),
    ],
)
def test_wrong_arguments_are_refused(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        parse(arguments)
    assert refused.value.code == 2
    assert sentence in capsys.readouterr().err


def started(machines: ExitStack, machine: Machine) -> Machine:
    machines.callback(machine.process.kill)
    return machine


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["torchrun", "deepspeed"])
@pytest.mark.parametrize(
    ("parts", "code", "left"),
    [
        (("done", "done"), 0, ""),
        (("follow", "late-65"), 65, ""),
        (("kill", "follow"), 1, "ended by SIGKILL"),
        (("replaced", "follow"), 69, "a later run has taken over"),
    ],
)
def test_one_machine_ends_as_the_process_that_was_the_cause(
    machines: ExitStack, tmp_path: Path, launcher: str, parts: tuple[str, ...], code: int, left: str
) -> None:
    arguments = ("--standalone", "--launcher", launcher, "--nproc-per-node", str(len(parts)))
    machine = started(machines, Machine(tmp_path, *arguments, parts=parts))
    assert machine.end() == code, machine.printed
    assert left in machine.left
    assert machine.printed == ""


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["torchrun", "deepspeed"])
def test_a_stop_lets_every_process_save(machines: ExitStack, tmp_path: Path, launcher: str) -> None:
    arguments = ("--standalone", "--launcher", launcher, "--nproc-per-node", "2")
    machine = started(machines, Machine(tmp_path, *arguments, parts=("save", "save")))
    eventually(lambda: machine.began(2), 60)
    machine.process.send_signal(signal.SIGTERM)
    assert machine.end() == INTERRUPTED, machine.printed
    assert sorted(path.name for path in tmp_path.glob("saved-*")) == ["saved-0", "saved-1"]
    assert machine.printed == ""


def pair(machines: ExitStack, folder: Path, launcher: str, parts: tuple[str, str]) -> list[Machine]:
    """Two machines of a gang with a process each; the first hosts the store."""
    found = []
    for node, gang in enumerate(gang_arguments(nodes=2)):
        machine = started(machines, Machine(folder, "--launcher", launcher, *gang, parts=parts, name=str(node)))
        if node == 0:
            eventually(lambda: "1 of 2 machines are here" in machine.printed, 60)  # noqa: B023 - at once
        found.append(machine)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["torchrun", "deepspeed"])
def test_a_wrong_job_on_one_machine_is_a_lost_peer_on_the_other(
    machines: ExitStack, tmp_path: Path, launcher: str
) -> None:
    both = pair(machines, tmp_path, launcher, ("65", "work"))
    codes = sorted(machine.end() for machine in both)
    assert codes == [WRONG_JOB, PEER_LOST], [machine.printed for machine in both]
    assert [machine.left for machine in both if machine.process.returncode == PEER_LOST] == [LOST]


@pytest.mark.slow
def test_a_machine_that_is_killed_is_a_lost_peer(machines: ExitStack, tmp_path: Path) -> None:
    killed, other = pair(machines, tmp_path, "torchrun", ("deaf", "deaf"))
    eventually(lambda: other.began(2), 60)
    killed.process.kill()
    assert other.end() == PEER_LOST, other.printed
    assert other.left == LOST


@pytest.mark.slow
@pytest.mark.parametrize(("lost", "code"), [(True, PEER_LOST), (False, CRASHED)])
def test_an_abort_is_a_crash_unless_another_machine_is_gone_without_a_word(
    machines: ExitStack, tmp_path: Path, lost: bool, code: ExitCode
) -> None:
    first, other = pair(machines, tmp_path, "torchrun", ("abort", "work"))
    eventually(lambda: other.began(2), 60)
    if lost:
        lose(other.process)
    (tmp_path / "lost").touch()
    assert first.end() == code, first.printed
    other.end()


@pytest.mark.slow
def test_who_waits_for_others_is_a_lost_peer_when_the_first_machine_leaves(machines: ExitStack, tmp_path: Path) -> None:
    first, second, _ = gang_arguments(nodes=3)
    hosts, waits = (
        started(machines, Machine(tmp_path, *gang, parts=("done",), name=str(node)))
        for node, gang in enumerate((first, second))
    )
    eventually(lambda: "2 of 3 machines are here" in waits.printed, 60)
    hosts.process.send_signal(signal.SIGTERM)
    assert (hosts.end(), waits.end()) == (INTERRUPTED, PEER_LOST), waits.printed
    assert waits.left == LOST


@pytest.mark.slow
def test_a_peer_that_leaves_when_all_are_there_holds_nobody_up(machines: ExitStack, tmp_path: Path) -> None:
    arguments, _ = gang_arguments(nodes=2)
    host = started(machines, Machine(tmp_path, *arguments, parts=("work",)))
    there = parse([*arguments, "-m", "x"])
    peer = Gang(there.master_addr, there.master_port, 2, 1, there.rdzv_id)
    peer.join()
    peer.leave(INTERRUPTED)
    assert host.end() == PEER_LOST, host.printed
    assert host.left == LOST


def catches(process: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal."""
    status = Path(f"/proc/{process}/status").read_text()
    (mask,) = re.findall(r"^SigCgt:\s*(\w+)$", status, re.MULTILINE)
    return bool(int(mask, 16) >> (number - 1) & 1)


@pytest.mark.slow
def test_a_stop_while_libraries_are_loaded_is_heeded_at_once(machines: ExitStack, tmp_path: Path) -> None:
    machine = started(machines, Machine(tmp_path, "--standalone", parts=("deaf",)))
    eventually(lambda: catches(machine.process.pid, signal.SIGTERM), 60)
    machine.process.send_signal(signal.SIGTERM)
    assert machine.end() == INTERRUPTED, machine.printed
    assert not machine.began(1)
    assert machine.printed == ""


@pytest.mark.slow
@pytest.mark.parametrize("first", ["no-such-machine.invalid", "192.0.2.1"])
def test_a_first_machine_that_is_not_there_yet_is_waited_for_until_told_otherwise(
    machines: ExitStack, tmp_path: Path, first: str
) -> None:
    arguments = ("--nnodes", "2", "--node-rank", "1", "--master-addr", first)
    machine = started(machines, Machine(tmp_path, *arguments, parts=("done", "done")))
    eventually(lambda: "waiting for" in machine.printed, 60)
    machine.process.send_signal(signal.SIGTERM)
    assert machine.end() == INTERRUPTED, machine.printed
