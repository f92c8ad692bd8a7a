"""A storage whose user is killed at a chosen moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from mtj_trainer.storage import Entry, Storage


class Crash(Exception):  # noqa: N818 - it is what happens
    """The process would be dead now."""


class Countdown:
    """How many changes are made before the crash; ``None`` for no crash."""

    def __init__(self, left: int | None) -> None:
        self._left = left

    def __call__(self) -> None:
        """A change is about to be made."""
        if self._left is not None:
            if self._left == 0:
                raise Crash
            self._left -= 1


class CrashingStorage(Storage):
    """Another storage, up to the crash. A folder is deleted a file at a time, in the order that suits it least."""

    def __init__(self, inner: Storage, about_to_change: Countdown) -> None:
        self.url = inner.url
        self._inner = inner
        self._about_to_change = about_to_change

    def read(self, key: str) -> bytes:
        return self._inner.read(key)

    def write(self, key: str, data: bytes | Path) -> None:
        self._about_to_change()
        self._inner.write(key, data)

    def fetch(self, key: str, into: Path, on_piece: Callable[[], None] = lambda: None) -> Path:
        return self._inner.fetch(key, into, on_piece)

    def exists(self, key: str) -> bool:
        return self._inner.exists(key)

    def list(self, prefix: str = "") -> Iterator[Entry]:
        return self._inner.list(prefix)

    def delete(self, key: str) -> None:
        self._about_to_change()
        self._inner.delete(key)

    def delete_tree(self, prefix: str) -> None:
        for entry in sorted(self.list(prefix), key=lambda entry: entry.key.endswith(".json")):
            self.delete(entry.key)

    def local_path(self, key: str = "") -> Path | None:
        return self._inner.local_path(key)

    def child(self, prefix: str) -> CrashingStorage:
        return CrashingStorage(self._inner.child(prefix), self._about_to_change)
