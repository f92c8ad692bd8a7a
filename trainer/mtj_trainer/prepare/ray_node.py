"""Ray's processes on one machine of several: the head that others join, or a node that joins it.

Invariant: they end with the ``ray start`` that this starts, which ends with this object; and the tasks that they run
find the environment that ``pool.ENVIRONMENT`` gives to those of a single machine.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from mtj_trainer.prepare.pool import ENVIRONMENT, OBJECT_STORE_BYTES, START_ATTEMPTS, own_folder

AUTHENTICATION = {"RAY_AUTH_MODE": "disabled"}
"""Said to all of them alike: left to itself, Ray's head asks for a token wherever its home has one, and the others have
none. Whoever can reach the machines can give them work, so their network has to keep others out."""

START_SECONDS = 120.0
STOP_SECONDS = 10.0

STARTED = "ray_current_cluster"
"""The file that ``ray start`` writes to its folder when all of its processes run."""


class RayFailed(RuntimeError):  # noqa: N818 - it says what happened
    """Ray could not be started, with the last that it said."""


class RayNode:
    """Ray on this machine, from entering to leaving.

    Args:
        cpus: tasks that may run here at a time.
        arguments: of ``ray start``: ``--head`` and its port, or the address to join.
        wanted: asked while it starts, which may take a minute.
    """

    def __init__(self, cpus: int, *arguments: str, wanted: Callable[[], bool] = lambda: True) -> None:
        self._command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]
        self._command += ["--include-log-monitor", "false"]
        self._command += ["--num-cpus", str(cpus), "--object-store-memory", str(OBJECT_STORE_BYTES), *arguments]
        self._wanted = wanted
        self._folder = Path()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        for attempt in range(1, START_ATTEMPTS + 1):
            self._folder = own_folder()
            try:
                self._start()
            except RayFailed:
                self._stop()
                if attempt == START_ATTEMPTS or not self._wanted():
                    raise
            except BaseException:
                self._stop()
                raise
            else:
                break
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    @property
    def runs(self) -> bool:
        """Whether all of its processes do."""
        return self._process is not None and self._process.poll() is None

    def _start(self) -> None:
        environment = os.environ | ENVIRONMENT | AUTHENTICATION | {"TMPDIR": str(self._folder)}
        environment["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"] = "0"  # another node does again what is in work here
        log = self._folder / "start.log"
        with log.open("wb") as printed:
            self._process = subprocess.Popen(
                [*self._command, "--temp-dir", str(self._folder)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + START_SECONDS
        while not (self._folder / STARTED).exists():
            if not self.runs or not self._wanted() or time.monotonic() > deadline:
                lines = log.read_text(errors="replace").split("\n")
                raise RayFailed(f"Ray did not start: {next((line for line in reversed(lines) if line.strip()), '')}")
            time.sleep(0.1)

    def _stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        shutil.rmtree(self._folder, ignore_errors=True)
