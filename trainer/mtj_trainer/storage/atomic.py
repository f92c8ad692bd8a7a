"""Files that appear only when they are complete, and what their dead writers leave.

Invariant: a name either has its old content or its whole new content. A writer holds a lock on its partial file;
a partial file without a lock is a dead writer's, and the next writer of the same name removes it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

PARTIAL_SUFFIX = ".mtj-partial"
"""Ends the name of every file that is still being written."""


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write that becomes ``path`` when the context ends well, and vanishes when it does not.

    The content is on the disk before the name is: after a power cut there is no empty file either.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    stem = _stem(path)
    _remove_abandoned(path.parent, stem)
    partial, file = _create_locked(path.parent, stem)
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _stem(path: Path) -> str:
    """The same for every writer of a name, and short, since the name itself may already be as long as allowed."""
    return "." + hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]


def _create_locked(folder: Path, stem: str) -> tuple[Path, BinaryIO]:
    while True:
        partial = folder / f"{stem}.{secrets.token_hex(8)}{PARTIAL_SUFFIX}"
        file = partial.open("xb")
        with suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file.fileno()).st_nlink == 1:
                return partial, file
        file.close()  # another writer took it for abandoned between its creation and its lock


def _remove_abandoned(folder: Path, stem: str) -> None:
    for partial in folder.glob(f"{stem}.*{PARTIAL_SUFFIX}"):
        # An error is no reason not to write. NFS locks only what is open for writing.
        with suppress(OSError), partial.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            partial.unlink()
