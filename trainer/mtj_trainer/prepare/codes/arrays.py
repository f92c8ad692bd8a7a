"""Arrays in shards, each under the text that it was made of: codes of a segment, or states of a caption.

Invariant: the tar is stored before its record, so that a shard with a record is complete; a shard's name is the hash of
all that decides what is in it, so that it is never made twice.
"""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mtj_trainer.prepare.mapped import MappedShards
from mtj_trainer.prepare.shard import Member, ShardWriter
from mtj_trainer.storage import Storage

FOLDER = "codes/shards"
"""Below the cache."""

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class StoredArray:
    """Where an array lies.

    Attributes:
        of: what it was made of.
        shard: name of the shard that holds it, as ``.npy``.
        shape: of the array.
    """

    of: str
    shard: str
    member: Member
    shape: tuple[int, ...]

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @staticmethod
    def from_json(line: str) -> StoredArray:
        values = json.loads(line)
        return StoredArray(**{**values, "member": Member(**values["member"]), "shape": tuple(values["shape"])})


def write_arrays(cache: Storage, shard: str, arrays: Iterable[tuple[str, Array]]) -> tuple[StoredArray, ...]:
    """Store arrays, each with what it was made of; the shard and its record are complete when this returns."""
    stored = []
    with tempfile.TemporaryDirectory(prefix="shard-") as folder:
        path = Path(folder) / "shard.tar"
        with ShardWriter(path) as writer:
            for number, (of, array) in enumerate(arrays):
                content = io.BytesIO()
                np.save(content, array, allow_pickle=False)
                member = writer.add(f"{number:05d}.npy", content.getvalue())
                stored.append(StoredArray(of, shard, member, array.shape))
        cache.write(f"{FOLDER}/{shard}.tar", path)
    cache.write(f"{FOLDER}/{shard}.jsonl", to_lines(stored))
    return tuple(stored)


def read_record(cache: Storage, shard: str) -> tuple[StoredArray, ...]:
    """What ``write_arrays`` returned for this shard."""
    return tuple(from_lines(cache.read(f"{FOLDER}/{shard}.jsonl")))


def read_array(shards: MappedShards, stored: StoredArray) -> Array:
    """The array, in memory of its own."""
    content = shards.read(f"{FOLDER}/{stored.shard}.tar", stored.member.offset, stored.member.size)
    array: Array = np.load(io.BytesIO(content), allow_pickle=False)
    return array


def complete_shards(cache: Storage) -> set[str]:
    """Names of the shards that need not be made again."""
    keys = {entry.key for entry in cache.list(FOLDER)}
    names = {key.removeprefix(f"{FOLDER}/").partition(".")[0] for key in keys}
    return {name for name in names if {f"{FOLDER}/{name}.tar", f"{FOLDER}/{name}.jsonl"} <= keys}


def to_lines(arrays: Iterable[StoredArray]) -> bytes:
    """A line of JSON for each."""
    return "".join(f"{array.to_json()}\n" for array in arrays).encode()


def from_lines(content: bytes) -> list[StoredArray]:
    """What ``to_lines`` was given."""
    lines = content.decode().split("\n")[:-1]  # not splitlines, which also breaks at U+2028 inside a caption
    return [StoredArray.from_json(line) for line in lines]
