"""One storage made to hold what another does."""

from __future__ import annotations

from pathlib import Path

from mtj_trainer.storage.local import own_folder
from mtj_trainer.storage.store import Storage


def mirror(source: Storage, target: Storage, copies: Path) -> None:
    """Make ``target`` hold what ``source`` does, a file at a time, and nothing else; memory use is bounded.

    Args:
        copies: where on this machine a file passes through that is elsewhere.
    """
    files = [entry.key for entry in source.list()]
    for gone in {entry.key for entry in target.list()} - set(files):
        target.delete(gone)
    for key in files:
        own = source.local_path(key)
        if own is not None:
            target.write(key, own)
            continue
        with own_folder(copies, "copies-") as made:
            target.write(key, source.fetch(key, made / "file"))
