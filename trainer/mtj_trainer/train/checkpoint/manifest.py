"""The manifest of a checkpoint: what makes it complete, and what shows that it still is as it was written.

CRC-32, since it is the fastest checksum of the standard library (twice as fast as SHA-256 where the processor has
instructions for both) and finds every burst of up to 32 wrong bits, and of other damage all but one in four
thousand million. It is no seal: whoever may write the files may write their manifest.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

MANIFEST = "manifest.json"

_BUFFER = 1 << 20
"""Bytes: what is summed still lies in the processor's own memory, and the interpreter is asked for seldom."""


class Damaged(Exception):  # noqa: N818 - it says what a checkpoint is
    """A file of a checkpoint is not as it was written; the message names it and says how."""


@dataclass(frozen=True)
class Sum:
    """What a file is known by: its size in bytes, and the CRC-32 of its content."""

    size: int
    crc32: int


@dataclass(frozen=True)
class Manifest:
    """What belongs to a checkpoint.

    Attributes:
        files: each file but the manifest, by name.
        validation_loss: measured at this very step, or ``None``.
    """

    files: Mapping[str, Sum]
    validation_loss: float | None = None

    def encode(self) -> bytes:
        """As JSON."""
        return (json.dumps(asdict(self), indent=2) + "\n").encode()

    @classmethod
    def decode(cls, data: bytes) -> Manifest:
        """The inverse of ``encode``.

        Raises:
            Damaged: this is no manifest.
        """
        try:
            found = json.loads(data)
            loss = found["validation_loss"]
            files = {name: Sum(int(entry["size"]), int(entry["crc32"])) for name, entry in found["files"].items()}
            return cls(files, None if loss is None else float(loss))
        except (ValueError, TypeError, KeyError, AttributeError):
            raise Damaged(f"{MANIFEST} is no manifest") from None

    def check(self, name: str, path: Path) -> None:
        """Compare a file with what the manifest says of it.

        Raises:
            Damaged: they differ.
        """
        if name not in self.files:
            raise Damaged(f"{MANIFEST} does not name {name}")
        expected, size = self.files[name], path.stat().st_size
        if size != expected.size:
            raise Damaged(f"{name} has {size:,} bytes and not {expected.size:,}")
        if summed(path) != expected:
            raise Damaged(f"{name} has another checksum than when it was written")


def summed(path: Path) -> Sum:
    """The sum of a file."""
    size = checksum = 0
    buffer = memoryview(bytearray(_BUFFER))
    with path.open("rb", buffering=0) as file:
        while read := file.readinto(buffer):
            checksum = zlib.crc32(buffer[:read], checksum)
            size += read
    return Sum(size, checksum)
