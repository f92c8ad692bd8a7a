"""One run of a job at a time on a machine, by a lock that no crash can leave behind."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mtj_api import JobError


@contextmanager
def held(work_dir: Path) -> Iterator[int]:
    """Hold the lock of the folder ``work_dir``, which is made if need be, as an open file descriptor.

    The kernel frees it when the last process that has the descriptor is gone. The file itself stays: to remove it
    would let a third process lock another file of the same name.

    Raises:
        JobError: another process holds it.
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    fd = os.open(work_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(fd, 32).decode(errors="replace").strip()
            raise JobError(
                f"this job is already running here, as process {holder}"
                if holder
                else "this job is already running here",
                where=str(work_dir),
                instead="wait for it or stop it first",
            ) from None
        os.ftruncate(fd, 0)
        os.write(fd, f"{os.getpid()}\n".encode())
        yield fd
    finally:
        os.close(fd)
