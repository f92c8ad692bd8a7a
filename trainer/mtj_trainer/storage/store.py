"""What the stages need of a place for files, whatever the place is.

Invariant: a key holds all of a write or none of it. A reader never sees half a file, whatever dies when; of
several writers at once, one wins as a whole.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mtj_api import JobError


class StorageUnavailable(JobError):  # noqa: N818 - a JobError, whose kinds are named by what is so
    """The storage did not answer, after retries, or is full. Unlike other faults of a job this one may pass."""


@dataclass(frozen=True)
class Entry:
    """A stored file: its key, its size in bytes, and a text that changes when its content does."""

    key: str
    size: int
    version: str


class Storage(ABC):
    """The files below a URL. Keys are relative, with ``/`` between their parts.

    Every method raises ``JobError`` where the place cannot be used (no such bucket, refused credentials), and
    ``StorageUnavailable``, one of its kind, where that may pass: it could not be reached, or its disk is full.
    """

    url: str
    """Opens the same storage anywhere; without a final ``/``."""

    @abstractmethod
    def read(self, key: str) -> bytes:
        """The whole content; ``FileNotFoundError`` where there is none."""

    @abstractmethod
    def write(self, key: str, data: bytes | Path) -> None:
        """Store ``data``, or the content of the file that it names, under ``key``, all or nothing.

        Raises:
            ValueError: the key has an empty part, ``.``, ``..`` or a control character.
        """

    @abstractmethod
    def fetch(self, key: str, into: Path, on_piece: Callable[[], None] = lambda: None) -> Path:
        """Copy to the local file ``into``, which appears only when it is complete; memory use is bounded.

        Args:
            on_piece: is called whenever some more of it has come.

        Raises:
            FileNotFoundError: there is no such file.
        """

    @abstractmethod
    def exists(self, key: str) -> bool:
        """Whether there is a file of this name; a folder is none."""

    @abstractmethod
    def list(self, prefix: str = "") -> Iterator[Entry]:
        """Every file below the folder ``prefix``, in the order of keys; none where there is no such folder."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove a file; one that is not there is no error."""

    @abstractmethod
    def delete_tree(self, prefix: str) -> None:
        """Remove every file below the folder ``prefix``."""

    @abstractmethod
    def local_path(self, key: str = "") -> Path | None:
        """The file itself where the storage is a folder of this machine, whether it exists or not."""

    @abstractmethod
    def child(self, prefix: str) -> Storage:
        """The storage below a folder of this one."""


def checked(key: str) -> str:
    """The key itself, if it can name a file in every kind of storage.

    Raises:
        ValueError: it cannot.
    """
    if any(part in ("", ".", "..") for part in key.split("/")) or any(ord(c) < 32 or ord(c) == 127 for c in key):
        raise ValueError(f"not a key of a file: {key!r}")
    return key


def below(prefix: str, key: str) -> str:
    """``key`` under the folder ``prefix``, either of which may be empty."""
    return "/".join(part for part in (prefix.strip("/"), key.strip("/")) if part)
