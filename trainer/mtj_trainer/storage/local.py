"""Stored files as files of this machine, whatever the storage is: they may be larger than its memory."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from mtj_trainer.storage.store import Storage, checked


@contextmanager
def on_this_machine(folder: Storage, copies: Path | None = None) -> Iterator[Path]:
    """The files below, in a folder of this machine: their own, or copies for a while.

    Args:
        copies: where these are made; the system's place for such where it is left out.
    """
    own = folder.local_path()
    if own is not None:
        yield own
        return
    with tempfile.TemporaryDirectory(prefix="copies-", dir=copies) as made:
        for entry in folder.list():
            folder.fetch(entry.key, Path(made) / checked(entry.key))
        yield Path(made)


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
