"""Codes written down: which shards hold those of a data set, and the figures of them.

Invariant: ``manifest.json`` is written last, and all that is written follows from the data set, the codec and the text
encoder alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mtj_trainer.prepare.codes.arrays import StoredArray, to_lines
from mtj_trainer.prepare.codes.dataset import CodesInfo
from mtj_trainer.prepare.units import stable_hash
from mtj_trainer.storage import Storage

SET_VERSION = 1
"""Raise it with any change of what is written here; shards stay as they are."""


@dataclass(frozen=True)
class CodesContents:
    """All codes of a data set.

    Attributes:
        dataset: URL of the data set.
        codec: URL of the folder with the codec.
        codes: of the segments, each under its ``sample_name``.
        texts: of the captions, each under itself; none where no text encoder was run.
    """

    dataset: str
    codec: str
    info: CodesInfo
    codes: Sequence[StoredArray]
    texts: Sequence[StoredArray] = ()


def set_name(dataset: str, shards: Sequence[str]) -> str:
    """The name of the codes of a data set, known before any is made.

    Args:
        dataset: URL of the data set.
        shards: names of all shards, of codes and of texts.
    """
    return stable_hash(SET_VERSION, dataset, sorted(shards))


def write_codes(cache: Storage, name: str, contents: CodesContents) -> dict[str, Any]:
    """Write the codes ``name``, whose shards are there, and return their manifest."""
    frames = sum(stored.shape[1] for stored in contents.codes)
    manifest = {
        "hash": name,
        "dataset": contents.dataset,
        "codec": contents.codec,
        "info": asdict(contents.info),
        "segments": len(contents.codes),
        "frames": frames,
        "seconds": round(frames / contents.info.frame_rate, 3),
        "bytes": sum(stored.member.size for stored in contents.codes),
        "captions": len(contents.texts),
        "complete": True,
    }
    folder = cache.child(f"codes/sets/{name}")
    folder.write("codes.jsonl", to_lines(contents.codes))
    folder.write("texts.jsonl", to_lines(contents.texts))
    folder.write("manifest.json", json.dumps(manifest, ensure_ascii=False, indent=1).encode())
    return manifest


def set_url(cache: Storage, name: str) -> str:
    """What ``CodesDataset.open`` takes."""
    return f"{cache.url}/codes/sets/{name}"
