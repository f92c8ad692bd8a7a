"""Reading members of shards: mapped into memory where a shard lies on this machine, fetched once, whole, where not.

Invariant: what is read is the same bytes in every process and thread; a copy of a reader opens its own maps.
"""

from __future__ import annotations

import mmap
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

from mtj_trainer.storage import Storage

OPEN_SHARDS = 512
"""How many shards are mapped at a time; processes may have about a thousand files open."""


class MappedShards:
    """The shards below a storage, by key.

    Args:
        work_dir: a folder on this machine for shards that lie elsewhere; keys name their content, so that it may be
            shared.
    """

    def __init__(self, storage: Storage, work_dir: Path) -> None:
        self._storage = storage
        self._work_dir = work_dir
        self._maps: OrderedDict[str, mmap.mmap] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, key: str, offset: int, size: int) -> bytes:
        """``size`` bytes of the shard ``key`` from ``offset`` on.

        Raises:
            FileNotFoundError: there is no such shard.
        """
        with self._lock:
            mapped = self._maps.get(key)
            if mapped is None:
                mapped = self._maps[key] = self._map(key)
                if len(self._maps) > OPEN_SHARDS:
                    self._maps.popitem(last=False)[1].close()
            self._maps.move_to_end(key)
            return mapped[offset : offset + size]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_maps", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _maps=OrderedDict(), _lock=threading.Lock())

    def _map(self, key: str) -> mmap.mmap:
        path = self._storage.local_path(key)
        if path is None:
            path = self._work_dir / key
            if not path.exists():
                self._storage.fetch(key, path)
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
