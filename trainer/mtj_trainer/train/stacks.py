"""Where the threads of a process stand: their Python stacks, and what the kernel says of a process that cannot answer.

A process dumps its own stacks in the handler of a signal, in C, without the interpreter: so it does even while a call
that never returns holds that. One that was stopped, or waits for a disk in the kernel, takes no signal; of it there is
the kernel's word.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

ASK = signal.SIGUSR1
"""Asks a process that has called ``dump_on_signal`` for its stacks; ends any other."""

ANSWER_SECONDS = 5.0
"""How long processes may take to answer, all together."""

MOST = 32 * 1024
"""Bytes that are kept of what a process says."""

STATES = {
    "T": "it is stopped, as by SIGSTOP",
    "t": "a debugger has stopped it",
    "D": "it waits in the kernel, as for a disk or a network file system that does not answer",
    "Z": "it has ended",
}
"""States of a process in which it takes no signal: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html"""


def dump_on_signal(path: Path) -> None:
    """Have this process write the stacks of all its threads to a file whenever it gets ``ASK``."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    faulthandler.register(ASK, file=file, all_threads=True)


def gather(folder: Path, processes: Mapping[int, int]) -> dict[int, str]:
    """The stacks of processes of this machine, by rank.

    Args:
        folder: of their pulses.
        processes: by rank, the number of each process that has called ``dump_on_signal``.
    """
    before = {rank: _size(folder, rank) for rank in processes}
    for process in processes.values():
        with suppress(OSError):
            if _knows(process, folder):
                os.kill(process, ASK)
    deadline, sizes = time.monotonic() + ANSWER_SECONDS, dict[int, int]()
    while time.monotonic() < deadline:
        time.sleep(0.1)
        last, sizes = sizes, {rank: _size(folder, rank) for rank in processes}
        silent = [rank for rank in processes if sizes[rank] == before[rank] and not stuck(processes[rank])]
        if sizes == last and not silent:
            break
    return {rank: _said(folder, rank, before[rank], process) for rank, process in processes.items()}


def stuck(process: int) -> str:
    """Why a process of this machine takes no signal; empty where it does."""
    with suppress(OSError, IndexError):
        state = (
            Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[0]
        )
        return STATES.get(state, "")
    return STATES["Z"]


def _knows(process: int, folder: Path) -> bool:
    """Whether a process was told of the folder: another may have the number of one that has ended."""
    return os.fsencode(folder) in Path(f"/proc/{process}/environ").read_bytes()


def _said(folder: Path, rank: int, start: int, process: int) -> str:
    try:
        with (folder / f"{rank}.stacks").open("rb") as file:
            file.seek(start)
            said = file.read(MOST).decode(errors="replace").strip()
    except OSError:
        said = ""
    return said or f"no stacks: {stuck(process) or 'it did not answer'}\n{_kernel_view(process)}".strip()


def _kernel_view(process: int) -> str:
    """What each thread waits for in the kernel."""
    lines = []
    with suppress(OSError):
        for thread in sorted(Path(f"/proc/{process}/task").iterdir(), key=lambda path: int(path.name)):
            with suppress(OSError):
                name, wait = ((thread / one).read_text(errors="replace").strip() for one in ("comm", "wchan"))
                lines.append(f"  thread {thread.name} ({name}): {wait if wait != '0' else 'not in the kernel'}")
    return "\n".join(lines)[:MOST]


def _size(folder: Path, rank: int) -> int:
    try:
        return (folder / f"{rank}.stacks").stat().st_size
    except OSError:
        return 0
