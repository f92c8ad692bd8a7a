"""Runs one command, and leaves nothing of it behind, however either of them or the caller ends.

    python -I guard.py LIFELINE_FD COMMAND...

The caller holds the other end of the socket LIFELINE_FD. A byte on it asks the command to stop (SIGTERM); its end,
which also comes when the caller dies of whatever cause, kills the command at once. The guard ends as the command
did: with its exit status, or by the same signal.

A process group does not do: torchrun's workers and Ray's daemons each begin a session of their own. So on Linux the
guard adopts whatever the command leaves behind (PR_SET_CHILD_SUBREAPER) and ends that too; elsewhere it ends the
command's process group. Invariant: standard library alone, one thread, so that it starts in milliseconds and may fork.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What ends a program from outside; the guard passes these over, since its caller decides."""

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

CLEAN_SECONDS = 3.0
"""How long what a finished command left behind may take to end by itself once it is told to."""

GIVE_UP_SECONDS = 10.0
"""A process that SIGKILL has not ended by then hangs in the kernel."""

CANNOT_START = 127


def main(lifeline: int, command: list[str]) -> NoReturn:
    """Run ``command`` and leave the process in the way that it ended."""
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)
    for fd in [int(entry.name) for entry in Path("/dev/fd").iterdir()]:
        if fd > sys.stderr.fileno():
            with contextlib.suppress(OSError):
                os.set_inheritable(fd, False)
    wake, wakened = os.pipe()
    os.set_blocking(wakened, False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    signal.set_wakeup_fd(wakened, warn_on_full_buffer=False)
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    child = _start(command)
    status = _watch(child, lifeline, wake)
    if status is None:
        _end_all(child, signal.SIGKILL, GIVE_UP_SECONDS)
        _leave_by(signal.SIGKILL)
    if not _end_all(child, signal.SIGTERM, CLEAN_SECONDS):
        _end_all(child, signal.SIGKILL, GIVE_UP_SECONDS)
    if os.WIFSIGNALED(status):
        _leave_by(os.WTERMSIG(status))
    os._exit(os.WEXITSTATUS(status))


def _start(command: list[str]) -> int:
    guard = os.getpid()
    child = os.fork()
    if child:
        return child
    try:
        os.setpgid(0, 0)
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != guard:
            os._exit(CANNOT_START)
        signal.set_wakeup_fd(-1)
        for number in (*STOPS, signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        os.execvp(command[0], command)  # noqa: S606 - no shell is wanted
    except OSError as error:
        print(f"cannot start {command[0]}: {error.strerror}", file=sys.stderr, flush=True)
    os._exit(CANNOT_START)


def _watch(child: int, lifeline: int, wake: int) -> int | None:
    """The wait status of the child; ``None`` when the lifeline was cut first."""
    while True:
        ready, _, _ = select.select([lifeline, wake], [], [])
        if wake in ready:
            os.read(wake, 4096)
            status = _reap(child)
            if status is not None:
                return status
        if lifeline in ready:
            if not os.read(lifeline, 1):
                return None
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGTERM)


def _reap(child: int) -> int | None:
    """Take note of every child that has ended; the wait status of ``child`` if it is among them."""
    found = None
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return found
            if pid == child:
                found = status
    return found


def _end_all(child: int, number: signal.Signals, seconds: float) -> bool:
    """Send the signal to all that is left of the command; whether all of it has ended within ``seconds``."""
    deadline = time.monotonic() + seconds
    told: set[int] = set()
    while True:
        _reap(child)
        left = _descendants() if sys.platform == "linux" else _group(child)
        if not left:
            return True
        if time.monotonic() > deadline:
            return False
        for pid in left - told if number == signal.SIGTERM else left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
            told.add(pid)
        time.sleep(0.01)


def _descendants() -> set[int]:
    """All processes below this one, by their parents in /proc; zombies, which only wait to be reaped, are left out."""
    parents: dict[int, int] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                state, parent = Path(entry.path, "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
                if state != "Z":
                    parents[int(entry.name)] = int(parent)
    below: set[int] = set()
    grown = {os.getpid()}
    while grown:
        grown = {pid for pid, parent in parents.items() if parent in grown}
        below |= grown
    return below


def _group(child: int) -> set[int]:
    """The command's process group, as what ``os.kill`` takes for it, while there is anyone in it."""
    try:
        os.kill(-child, 0)
    except (ProcessLookupError, PermissionError):
        return set()
    return {-child}


def _leave_by(number: int) -> NoReturn:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        prctl: Callable[..., int] = ctypes.CDLL(None, use_errno=True).prctl
        prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
