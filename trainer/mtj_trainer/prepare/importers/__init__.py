"""Named collections that a job may ask for instead of a source of its own.

An importer writes a folder like any other, of MIDI, audio and ``metadata.jsonl``, below the cache; from there on the
data takes the ordinary way. Invariant: what an importer hands over is complete, and is not made twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mtj_api.spec.dataset import Modality
from mtj_trainer.prepare.pool import WorkerPool
from mtj_trainer.storage import Entry, Storage


@dataclass(frozen=True)
class Imported:
    """A folder that an importer filled.

    Attributes:
        entries: its files; versions are hashes of their content, so that the same collection has the same units
            in every cache.
    """

    storage: Storage
    entries: tuple[Entry, ...]


Importer = Callable[[Storage, Sequence[Modality], WorkerPool], Imported]
"""Given the cache, what is asked for, and workers to do it with."""


@dataclass(frozen=True)
class Collection:
    """A named collection.

    Attributes:
        pieces, hours: how much music it has, known without importing it.
    """

    pieces: int
    hours: float
    fetch: Importer


def find_collection(name: str) -> Collection:
    """The collection that the spec calls ``name``."""
    from mtj_trainer.prepare.importers import bach_chorales

    return {"bach-chorales": bach_chorales.COLLECTION}[name]
