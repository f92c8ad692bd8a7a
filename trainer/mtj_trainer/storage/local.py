"""Stored files as files of this machine, whatever the storage is: they may be larger than its memory.

Invariant: a copy is there as long as any process holds it by a lock, and a machine has one, however many want it at a
time. One without a lock is a dead process's, and the next to make one removes it.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from mtj_api.contract import WORK_DIR_ENV
from mtj_trainer.storage.store import Storage, StorageUnavailable, checked

_PREFIX = "shared-"
_ALONE = fcntl.LOCK_EX | fcntl.LOCK_NB


@contextmanager
def on_this_machine(folder: Storage, copies: Path, on_piece: Callable[[], None] = lambda: None) -> Iterator[Path]:
    """The files below, in a folder of this machine: their own, or a copy for a while, which nobody may change.

    Args:
        copies: where processes of this machine look for a copy that another has made, and make one.
        on_piece: is called whenever some more has come; not while another process fetches it.

    Raises:
        StorageUnavailable: this machine's disk has no room for it, or the other storage is away.
    """
    own = folder.local_path()
    if own is not None:
        yield own
        return
    entries = list(folder.list())
    content = json.dumps([folder.url, *map(asdict, entries)]).encode()
    with _held(copies / f"{_PREFIX}{hashlib.sha256(content).hexdigest()[:32]}") as held:
        files = held / "files"
        files.mkdir(exist_ok=True)
        with _locked(files), _room_explained(folder, copies):
            for entry in entries:
                path = files / checked(entry.key)
                if not path.exists():
                    folder.fetch(entry.key, path, on_piece)
        yield files


@contextmanager
def _room_explained(folder: Storage, copies: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise StorageUnavailable(
            f"this disk has no room for a copy of {folder.url}",
            where=str(copies),
            instead=f"make room there, or let {WORK_DIR_ENV} name a folder on a larger disk",
        ) from None


@contextmanager
def _held(folder: Path) -> Iterator[Path]:
    """A folder that no process removes meanwhile; the last to hold it does so at its end."""
    lock = _hold(folder)
    try:
        for other in folder.parent.glob(f"{_PREFIX}*"):
            _remove_abandoned(other)
        yield folder
    finally:
        os.close(lock)
        _remove_abandoned(folder)


def _hold(folder: Path) -> int:
    """A descriptor that holds a folder, which is made where it is not there."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # another process removed it between its creation and its lock
            lock = lock_folder(folder, fcntl.LOCK_SH)
            if _is_open(folder, lock):
                return lock
            os.close(lock)


def _is_open(folder: Path, descriptor: int) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), folder.stat())
    return False


def _remove_abandoned(folder: Path) -> None:
    """Remove a folder that nobody holds."""
    with suppress(OSError):
        lock = lock_folder(folder, _ALONE)
        if _is_open(folder, lock):
            remove_own(folder, lock)
        else:  # another process removed it before it was locked, and a third may have made it anew
            os.close(lock)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Have a folder alone."""
    lock = lock_folder(folder, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(lock)


def lock_folder(folder: Path, how: int) -> int:
    """A descriptor that holds a lock on a folder until it is closed, or its process ends.

    Args:
        folder: that is there.
        how: of ``fcntl.flock``.

    Raises:
        OSError: there is no such folder, or it would have to be waited for and ``how`` forbids that.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, how)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


@contextmanager
def own_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """A folder of this process's own for a while, as of ``make_own``."""
    folder, lock = make_own(parent, prefix)
    try:
        yield folder
    finally:
        remove_own(folder, lock)


def make_own(parent: Path, prefix: str) -> tuple[Path, int]:
    """A folder of this process's own, and the lock that says so; those that dead processes have left are removed.

    Args:
        parent: where it is made.
        prefix: of its name, and of those that are like it; nothing else there may be called so.

    Raises:
        OSError: the disk is full, say, or has no locks.
    """
    for other in parent.glob(f"{prefix}*"):
        _remove_abandoned(other)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        try:
            lock = lock_folder(folder, _ALONE)
        except (FileNotFoundError, BlockingIOError):  # another process took it for abandoned before it was locked
            continue
        except OSError:
            folder.rmdir()
            raise
        if _is_open(folder, lock):
            return folder, lock
        os.close(lock)


def remove_own(folder: Path, lock: int) -> None:
    """Remove a folder, and let go of its lock then."""
    shutil.rmtree(folder, ignore_errors=True)
    os.close(lock)


def files_of(folder: Path) -> dict[str, Path]:
    """Every file below a folder of this machine by its key, in their order."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return dict(sorted(found.items()))


def hashed(files: Mapping[str, Path]) -> hashlib._Hash:
    """A SHA-256 of the names and contents of files, to which more may be added."""
    digest = hashlib.sha256()
    for name, path in files.items():
        with path.open("rb") as content:
            digest.update(name.encode() + b"\0" + hashlib.file_digest(content, "sha256").digest())
    return digest
