"""Reading codes: those of each segment of a prepared data set, and the text encoder's states of each caption.

Invariant: codes that open are complete: there are some for every segment of the data set.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from mtj_api import JobError
from mtj_trainer.prepare.codes.arrays import StoredArray, from_lines, read_array
from mtj_trainer.prepare.dataset import PreparedDataset, Sample
from mtj_trainer.prepare.mapped import MappedShards
from mtj_trainer.storage import open_storage


@dataclass(frozen=True)
class CodesInfo:
    """What the codes are of.

    Attributes:
        codebooks: codes a frame, the coarsest first.
        codebook_size: a code is from 0 to below it.
        hop: samples a frame.
        sample_rate: samples a second of what the codec reads and plays.
        channels: of the same.
    """

    codebooks: int
    codebook_size: int
    hop: int
    sample_rate: int
    channels: int

    @property
    def frame_rate(self) -> float:
        """Frames a second."""
        return self.sample_rate / self.hop


@dataclass(frozen=True)
class CodesSample:
    """A segment of a recording, as codes.

    Attributes:
        audio: the segment in the prepared data set: its track, start and length in seconds.
        frames: how many frames it has; the last may end in silence.
    """

    audio: Sample
    frames: int
    stored: StoredArray


class CodesDataset:
    """Codes of a prepared data set's recordings.

    Attributes:
        info: what the codes are of.
        dataset: tracks, recordings and splits.
        codec_url: a folder with the codec that made them, for ``load_codec``.
        manifest: counts, as ``manifest.json`` has them.
    """

    def __init__(
        self,
        dataset: PreparedDataset,
        manifest: dict[str, Any],
        codes: Iterable[StoredArray],
        texts: Iterable[StoredArray],
        shards: MappedShards,
    ) -> None:
        self.dataset = dataset
        self.manifest = manifest
        self.info = CodesInfo(**manifest["info"])
        self.codec_url: str = manifest["codec"]
        self._codes = {stored.of: stored for stored in codes}
        self._texts = {stored.of: stored for stored in texts}
        self._shards = shards

    @classmethod
    def open(cls, url: str, work_dir: Path) -> Self:
        """Open the codes at ``url``, which ``stages/prepare.json`` names.

        Args:
            work_dir: a folder on this machine for shards that lie elsewhere.

        Raises:
            JobError: there are no complete codes at ``url``, or their data set is gone.
        """
        cache_url, _, name = url.rstrip("/").rpartition("/codes/sets/")
        cache = open_storage(cache_url)
        folder = cache.child(f"codes/sets/{name}")
        try:
            manifest = json.loads(folder.read("manifest.json"))
            codes, texts = (from_lines(folder.read(f"{kind}.jsonl")) for kind in ("codes", "texts"))
        except FileNotFoundError:
            raise JobError("there are no complete codes here", where=url, instead="run the prepare stage") from None
        dataset = PreparedDataset.open(manifest["dataset"], work_dir)
        return cls(dataset, manifest, codes, texts, MappedShards(cache, work_dir))

    def samples(self, split: str) -> list[CodesSample]:
        """The segments on a side, in the order of their files and of time."""
        found = [(sample, self._codes[sample_name(sample)]) for sample in self.dataset.samples("audio", split)]
        return [CodesSample(sample, stored.shape[1], stored) for sample, stored in found]

    def read(self, sample: CodesSample) -> npt.NDArray[np.uint16]:
        """A segment's codes, (codebooks, frames)."""
        return read_array(self._shards, sample.stored)

    def text_states(self, caption: str) -> npt.NDArray[np.float32] | None:
        """What the frozen text encoder makes of a caption, (tokens, width); no token is padding.

        ``None`` where there is no such encoder, or no track has this caption.
        """
        stored = self._texts.get(caption)
        return read_array(self._shards, stored) if stored is not None else None


def sample_name(sample: Sample) -> str:
    """What tells a segment from all others, whatever data set lists it."""
    return f"{sample.unit}/{sample.member}"
