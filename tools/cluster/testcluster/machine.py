"""A machine of the cluster: a first process in namespaces of its own, and the means to switch it off.

Invariant: a machine ends with the process that started it, however that one ends, and everything on it ends with it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

_START_SECONDS = 10


class Machine:
    """A machine that is on; its first process waits for ``go``, so that it finds its network made.

    Attributes:
        pid: its first process, as the host numbers it.
    """

    def __init__(self, module: str, arguments: list[str], log: Path) -> None:
        """Switch it on; its first process is ``python -m testcluster.MODULE ARGUMENTS``."""
        own_namespaces = ["unshare", "--net", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc", "--"]
        first_process = [sys.executable, "-m", f"testcluster.{module}", *arguments]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *own_namespaces, *first_process],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
            )
        self.pid = self._first_process()

    def go(self) -> None:
        """Let the first process start its programs."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.close()

    def switch_off(self) -> None:
        """End everything on it at once, and return when it is gone."""
        if self._process.poll() is None:
            os.kill(self.pid, signal.SIGKILL)  # its parent ends when the kernel has ended all the others
        self._process.wait()

    @property
    def is_on(self) -> bool:
        return self._process.poll() is None

    def _first_process(self) -> int:
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            if found := children.read_text().split():
                return int(found[0])
            time.sleep(0.01)
        raise RuntimeError("no namespaces can be made here: the kernel or the container that this runs in forbids it")


def be_first_process(boot: Callable[[], None]) -> None:
    """What a machine's first process does: wait for its network, ``boot``, and then reap what is left to it.

    A program that ends stays ended, as on a machine without a service manager; its log says why.
    """
    sys.stdin.readline()
    boot()
    while True:
        try:
            os.wait()
        except ChildProcessError:
            time.sleep(1)


def start(command: list[str], log: Path, environment: dict[str, str] | None = None) -> None:
    """Start a program of the machine that this process is the first one of."""
    with log.open("ab") as output:
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment)


def wait_until(holds: Callable[[], bool], seconds: float, what: str) -> None:
    """Return when ``holds``.

    Raises:
        RuntimeError: it did not in time; the text is ``what``.
    """
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise RuntimeError(what)
        time.sleep(0.1)
