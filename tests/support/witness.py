"""Stages made of small real programs, which leave notes of what they did: what tests of executors run."""

from __future__ import annotations

import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

from mtj_operator.plan import Plan, Resources, Stage

PRELUDE = """
import os, pathlib, signal, subprocess, sys, time
here = pathlib.Path(os.environ["WITNESS"])
def note(text):
    with open(here / "notes", "a") as notes:
        notes.write(text + "\\n")
"""


class Witness:
    """A folder in which stages leave notes of what they did, and a maker of such stages.

    Args:
        folder: it.
        seen_as: its path where the stages run, if that is another.
        python: the interpreter there.
        patience: seconds within which a note comes.
    """

    def __init__(
        self, folder: Path, *, seen_as: str = "", python: str = sys.executable, patience: float = 30.0
    ) -> None:
        self.folder = folder
        self._seen_as = seen_as or str(folder)
        self._python = python
        self._patience = patience

    def stage(self, name: str, program: str, *, needs: tuple[str, ...] = (), **environment: str) -> Stage:
        """A stage that runs a Python program, in which ``note`` leaves a line and ``here`` is the folder."""
        return Stage(
            name=name,
            command=(self._python, "-I", "-S", "-c", PRELUDE + textwrap.dedent(program)),
            environment={"WITNESS": self._seen_as, **environment},
            resources=Resources(cpus=1, processes=1),
            needs=needs,
        )

    def plan(self, *stages: Stage) -> Plan:
        return Plan(stages)

    @property
    def notes(self) -> list[str]:
        path = self.folder / "notes"
        return path.read_text().splitlines() if path.exists() else []

    def wait_for(self, text: str) -> None:
        """Return as soon as a stage has left this note."""
        eventually(lambda: text in self.notes, self._patience)


def eventually(holds: Callable[[], bool], seconds: float = 30.0) -> None:
    """Return as soon as ``holds``; fail if it does not within a time that no working machine needs."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"
