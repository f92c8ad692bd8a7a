"""One run of a job at a time on a machine, by a lock that no crash can leave behind."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mtj_api import JobError
from mtj_api.contract import LOCK_FILE

_TRIES = 5
_PAUSE = 0.02


@contextmanager
def held(work_dir: Path) -> Iterator[int]:
    """Hold the lock of the folder ``work_dir``, which is made if need be, as an open file descriptor.

    The kernel frees it when the last process that has the descriptor is gone. The file itself stays: to remove it
    would let a third process lock another file of the same name.

    Raises:
        JobError: another process holds it.
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    fd = os.open(work_dir / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not _locked(fd):
            holder = os.read(fd, 32).decode(errors="replace").partition("\n")[0]
            raise JobError(
                f"this job is already running here, as process {holder}"
                if holder
                else "this job is already running here",
                where=str(work_dir),
                instead="wait for it or stop it first",
            )
        tell(fd)
        yield fd
    finally:
        os.close(fd)


def tell(lock: int, stage: str = "") -> None:
    """Write into a lock that is held who holds it, and which stage is under way, for those that wait."""
    text = f"{os.getpid()}\n{stage}\n" if stage else f"{os.getpid()}\n"
    os.pwrite(lock, text.encode(), 0)
    os.ftruncate(lock, len(text))


def _locked(fd: int) -> bool:
    """Lock a file. Jobs that wait for this one look whether they could, which is over at once."""
    for _ in range(_TRIES):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_PAUSE)
        else:
            return True
    return False
