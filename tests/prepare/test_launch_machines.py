"""Preparing on several machines: each is played by a process of its own, with its own Ray, on this one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from mtj_api import resolved_json
from mtj_api.contract import TERMINATION_LOG_ENV, ExitCode
from mtj_api.load import parse_job
from mtj_trainer.prepare.launch import parse
from support.jobs import text
from support.machines import lose
from support.music_folder import midi, write
from support.ports import free_ports
from support.witness import eventually

TESTS = Path(__file__).parents[1]
GONE = "the machine that leads the preparation went away"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--nodes", "2", "--node-rank", "0", "--head", "first", "-m", "x", "--job", "y"], "must be HOST:PORT"),
        (["--nodes", "2", "--node-rank", "0", "--head", "a:1", "-m", "x"], "required: --job"),
        (["--nodes", "2", "--head", "a:1", "-m", "x", "--job", "y"], "required: --node-rank"),
    ],
)
def test_wrong_arguments_are_refused(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        parse(arguments)
    assert refused.value.code == 2
    assert sentence in capsys.readouterr().err


class Machines:
    """Machines that prepare together, the first of which leads, or that run another module in place of preparing."""

    def __init__(self, folder: Path, *module: str, count: int = 2) -> None:
        self.folder = folder
        self.job = parse_job(
            text(
                dataset={
                    "source": str(folder / "music"),
                    "split": {"keepTogether": []},
                    "workers": {"count": count, "nodes": 2},
                },
                output=str(folder / "out"),
            )
        ).job
        (folder / "job.json").write_text(resolved_json(self.job))
        self.notes = folder / "notes.json"
        self._module = module or ("mtj_trainer.prepare",)
        self._head = f"127.0.0.1:{free_ports(1)[0]}"
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self, rank: int) -> subprocess.Popen[bytes]:
        """One of them."""
        command = [sys.executable, "-m", "mtj_trainer.prepare.launch"]
        command += ["--nodes", "2", "--node-rank", str(rank), "--head", self._head]
        command += ["-m", *self._module, "--job", str(self.folder / "job.json")]
        with (self.folder / f"printed-{rank}").open("wb") as printed:
            machine = subprocess.Popen(
                command,
                env={**os.environ, "PYTHONPATH": str(TESTS), TERMINATION_LOG_ENV: str(self.folder / f"left-{rank}")},
                stdout=printed,
                stderr=subprocess.STDOUT,
            )
        self.running.append(machine)
        return machine

    def printed(self, rank: int) -> str:
        return (self.folder / f"printed-{rank}").read_text()

    def left(self, rank: int) -> str:
        path = self.folder / f"left-{rank}"
        return path.read_text() if path.exists() else ""

    @property
    def noted(self) -> dict[str, Any]:
        """What the driver has noted so far."""
        found: dict[str, Any] = json.loads(self.notes.read_text()) if self.notes.exists() else {"seen": {}}
        return found

    def close(self) -> None:
        for machine in self.running:
            lose(machine)


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    with ExitStack() as stack:
        found = Machines(tmp_path)
        stack.callback(found.close)
        yield found


@pytest.fixture
def driven(tmp_path: Path) -> Iterator[Machines]:
    """Two machines that do 40 tasks at least, and do not end before each has done one."""
    with ExitStack() as stack:
        found = Machines(tmp_path, "support.ray_driver", str(tmp_path / "notes.json"), "40", "2")
        stack.callback(found.close)
        yield found


def test_a_job_that_this_version_does_not_understand_is_wrong(machines: Machines) -> None:
    (machines.folder / "job.json").write_text('{"metadata": {"name": "a"}, "spec": {"output": "s3://music/out"}}')
    machine = machines.start(0)
    assert machine.wait(60) == ExitCode.WRONG_JOB, machines.printed(0)
    assert "spec.dataset: this field is missing" in machines.left(0)


@pytest.mark.slow
def test_all_machines_work_and_end_when_all_is_done(driven: Machines) -> None:
    helper, leader = driven.start(1), driven.start(0)
    assert leader.wait(400) == ExitCode.DONE, driven.printed(0)
    assert helper.wait(60) == ExitCode.DONE, driven.printed(1)
    assert len(driven.noted["seen"]) == 2
    environment = driven.noted["environment"]
    assert (environment["OMP_NUM_THREADS"], environment["RAY_USAGE_STATS_ENABLED"]) == ("1", "0")
    assert not Path(environment["TMPDIR"]).exists()
    assert driven.printed(0) == ""


@pytest.mark.slow
def test_a_machine_that_is_lost_costs_what_it_had_in_work(driven: Machines) -> None:
    leader, helper = driven.start(0), driven.start(1)
    eventually(lambda: len(driven.noted["seen"]) == 2, 240)
    lose(helper)
    assert leader.wait(400) == ExitCode.DONE, driven.printed(0)
    assert sum(driven.noted["seen"].values()) >= 40


@pytest.mark.slow
def test_the_others_do_not_outlive_the_leader(driven: Machines) -> None:
    leader, helper = driven.start(0), driven.start(1)
    eventually(lambda: len(driven.noted["seen"]) == 2, 240)
    lose(leader)
    assert helper.wait(60) == ExitCode.PEER_LOST, driven.printed(1)
    assert driven.left(1) == GONE


@pytest.mark.slow
def test_two_machines_prepare_what_one_does(machines: Machines) -> None:
    write(machines.folder / "music", {f"{number}.mid": midi(seed=number) for number in range(12)})
    leader, helper = machines.start(0), machines.start(1)
    assert leader.wait(400) == ExitCode.DONE, machines.printed(0)
    assert helper.wait(60) in (ExitCode.DONE, ExitCode.INTERRUPTED), machines.printed(1)
    record = json.loads((machines.folder / "out/stages/prepare.json").read_text())
    assert record["figures"]["prepare.tracks"] == 12
    assert json.loads(machines.left(0))["figures"]["prepare.tracks"] == 12


@pytest.mark.slow
def test_a_leader_that_is_stopped_or_finds_the_job_wrong_says_so_and_lets_the_others_go(machines: Machines) -> None:
    helper = machines.start(1)
    leader = machines.start(0)
    assert leader.wait(400) == ExitCode.WRONG_JOB, machines.printed(0)
    assert "there is nothing at" in machines.left(0)
    assert helper.wait(60) == ExitCode.PEER_LOST
    waiting = machines.start(1)
    eventually(lambda: "waiting for" in machines.printed(1), 60)
    waiting.send_signal(signal.SIGTERM)
    assert waiting.wait(60) == ExitCode.INTERRUPTED
