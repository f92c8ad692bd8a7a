"""Machines of a gang that are played by a launcher and the processes below it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from mtj_api.contract import TERMINATION_LOG_ENV
from support.ports import free_ports

TESTS = Path(__file__).parents[1]


class Machine:
    """A launcher whose processes play parts of ``support.member``; what it says and leaves.

    Args:
        folder: where the processes leave their traces.
        arguments: of the launcher.
        parts: one a process.
        name: of the machine, among those of the gang.
    """

    def __init__(self, folder: Path, *arguments: str, parts: Sequence[str], name: str = "0") -> None:
        self._folder = folder
        self._left, self._printed = folder / f"left-{name}", folder / f"printed-{name}"
        self.process = launch(folder, name, arguments, ["support.member", str(folder), *parts])

    def end(self) -> int:
        """The exit code."""
        return self.process.wait(timeout=120)

    def began(self, processes: int) -> bool:
        """Whether so many processes of the gang are at work."""
        return len(list(self._folder.glob("began-*"))) == processes

    @property
    def printed(self) -> str:
        """All that it printed."""
        return self._printed.read_text()

    @property
    def left(self) -> str:
        """Its last word, as a pod's termination message."""
        return self._left.read_text() if self._left.exists() else ""


def gang_arguments(nodes: int) -> list[list[str]]:
    """What the launcher of each machine is given that they find each other, with a process each."""
    place = ["--master-addr", "127.0.0.1", "--master-port", str(free_ports(1)[0]), "--rdzv-id", "gang"]
    gang = ["--nnodes", str(nodes), "--nproc-per-node", "1", *place]
    return [[*gang, "--node-rank", str(node)] for node in range(nodes)]


def launch(
    folder: Path, name: str, arguments: Sequence[str], program: Sequence[str], **environment: str
) -> subprocess.Popen[bytes]:
    """Start a launcher that plays a machine.

    Args:
        folder: where ``printed-NAME`` is to have what it prints, and ``left-NAME`` its last word.
        name: of the machine, among those of the gang.
        arguments: of the launcher.
        program: the module that its processes run, and what that is given.
        environment: what they have beside this process's own.
    """
    left = folder / f"left-{name}"
    left.unlink(missing_ok=True)  # an earlier run's
    path = f"{TESTS}:{os.environ.get('PYTHONPATH', '')}"
    with (folder / f"printed-{name}").open("wb") as printed:
        return subprocess.Popen(
            [sys.executable, "-m", "mtj_trainer.train.launch", *arguments, "-m", *program],
            env=os.environ | {"PYTHONPATH": path, TERMINATION_LOG_ENV: str(left)} | environment,
            stdout=printed,
            stderr=subprocess.STDOUT,
        )


def lose(machine: subprocess.Popen[bytes]) -> None:
    """What the loss of a machine is to its processes: all of them end at once."""
    with suppress(psutil.NoSuchProcess):
        first = psutil.Process(machine.pid)
        for process in [*first.children(recursive=True), first]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
    machine.wait(30)
