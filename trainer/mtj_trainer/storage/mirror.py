"""One storage made to hold what another does."""

from __future__ import annotations

from mtj_trainer.storage.store import Storage


def mirror(source: Storage, target: Storage) -> None:
    """Make ``target`` hold what ``source`` does, a file at a time, and nothing else."""
    files = [entry.key for entry in source.list()]
    for gone in {entry.key for entry in target.list()} - set(files):
        target.delete(gone)
    for key in files:
        target.write(key, source.local_path(key) or source.read(key))
