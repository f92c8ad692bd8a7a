"""Machines that are played by a process and those below it."""

from __future__ import annotations

import subprocess
from contextlib import suppress

import psutil


def lose(machine: subprocess.Popen[bytes]) -> None:
    """What the loss of a machine is to its processes: all of them end at once."""
    with suppress(psutil.NoSuchProcess):
        first = psutil.Process(machine.pid)
        for process in [*first.children(recursive=True), first]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
    machine.wait(30)
