"""A unit's samples in one tar file, in which each can be read by itself.

Invariant: the same members in the same order make the same bytes, whoever writes them and when.
"""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Member:
    """Where a member's content lies in the tar: its name there, and the bytes ``offset`` to ``offset + size``."""

    name: str
    offset: int
    size: int


class ShardWriter:
    """Writes members one after the other; nothing is held in memory but the one that is being written."""

    def __init__(self, path: Path) -> None:
        self._tar = tarfile.open(path, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115 - closed by __exit__

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tar.close()

    def add(self, name: str, content: bytes) -> Member:
        """Append a member; ``name`` is ASCII and at most 100 characters."""
        header = tarfile.TarInfo(name)  # owner, group and time are 0 unless they are set
        header.size = len(content)
        offset = self._tar.offset + tarfile.BLOCKSIZE
        self._tar.addfile(header, io.BytesIO(content))
        return Member(name, offset, len(content))
