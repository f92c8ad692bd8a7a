"""Reading prepared data: its tracks, its samples by kind and side, and the bytes of each sample.

A data set is two lists, of tracks and of samples, over units that data sets share. A sample is a range of bytes in a
unit's tar.
Invariant: a data set that opens is complete; what it lists can be read.
"""

from __future__ import annotations

import io
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from mtj_api import JobError
from mtj_api.spec.dataset import Modality
from mtj_trainer.prepare.mapped import MappedShards
from mtj_trainer.prepare.shard import Member
from mtj_trainer.prepare.split import Side
from mtj_trainer.storage import Storage, open_storage


@dataclass(frozen=True)
class Track:
    """A piece of music, in the guide's metadata schema: all its files, which lie on one side of the split.

    Attributes:
        id: its path without extension, relative to the source.
        file_path: its recording, else its MIDI file.
        files: all its files; a recording and a MIDI file of the same name are one track.
        duration: seconds.
        sample_rate, channels: of the recording as it was found; ``None`` without one.
        tempo: quarter notes a minute.
        key: as ``F#min``.
        metre: as ``3/4``.
        programs: General MIDI programs, 128 for drums, the busiest first.
        features: figures that sum up the recording.
        extra: fields of the source's own metadata that the schema does not have.
    """

    id: str
    file_path: str
    files: tuple[str, ...]
    split: Side
    duration: float
    sample_rate: int | None = None
    channels: int | None = None
    title: str | None = None
    artist: str | None = None
    album: str | None = None
    composer: str | None = None
    genre: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()
    mood: tuple[str, ...] = ()
    tempo: float | None = None
    key: str | None = None
    metre: str | None = None
    programs: tuple[int, ...] = ()
    year: int | None = None
    source: str | None = None
    features: dict[str, float] = field(default_factory=dict)
    extra: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @staticmethod
    def from_json(line: str) -> Track:
        values = json.loads(line)
        lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        return Track(**{**values, **lists})


@dataclass(frozen=True)
class Sample:
    """What a model trains on: the tokens of a piece, or a segment of a recording.

    Attributes:
        unit: hash of the unit whose tar holds it.
        member, offset, size: its name there and its bytes.
        length: tokens, or seconds.
        track: id of its track.
        start: seconds into the recording; 0 for a piece.
        features: the segment's features (``.npz``) in the same tar, where they were asked for.
    """

    kind: Modality
    unit: str
    member: str
    offset: int
    size: int
    length: float
    track: str
    split: Side
    start: float = 0.0
    features: Member | None = None

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @staticmethod
    def from_json(line: str) -> Sample:
        values = json.loads(line)
        features = values["features"]
        return Sample(**{**values, "features": Member(**features) if features else None})


class PreparedDataset:
    """A data set that the prepare stage made.

    Attributes:
        manifest: settings, counts, hours and what was left out, as ``manifest.json`` has them.
        tracks: by id.
    """

    def __init__(
        self, cache: Storage, manifest: dict[str, Any], tracks: dict[str, Track], samples: list[Sample], work_dir: Path
    ) -> None:
        self.manifest = manifest
        self.tracks = tracks
        self._samples = samples
        self._shards = MappedShards(cache, work_dir)

    @classmethod
    def open(cls, url: str, work_dir: Path) -> Self:
        """Open the data set at ``url``, which ``stages/prepare.json`` names.

        Args:
            work_dir: a folder on this machine for units that lie elsewhere.

        Raises:
            JobError: there is no complete data set at ``url``.
        """
        cache_url, _, name = url.rstrip("/").rpartition("/datasets/")
        cache = open_storage(cache_url)
        try:
            manifest = json.loads(cache.read(f"datasets/{name}/manifest.json"))
            tracks = [Track.from_json(line) for line in _lines(cache, f"datasets/{name}/tracks.jsonl")]
            samples = [Sample.from_json(line) for line in _lines(cache, f"datasets/{name}/samples.jsonl")]
        except FileNotFoundError:
            raise JobError("there is no complete data set here", where=url, instead="run the prepare stage") from None
        return cls(cache, manifest, {track.id: track for track in tracks}, samples, work_dir)

    def samples(self, kind: Modality, split: str) -> list[Sample]:
        """The samples of a kind on a side, in the order of their files and of time."""
        return [sample for sample in self._samples if sample.kind == kind and sample.split == split]

    def read(self, sample: Sample) -> bytes:
        """A sample's bytes: ``.npy`` of (T,) uint16 tokens, or FLAC."""
        return self._bytes(sample.unit, sample.offset, sample.size)

    def read_tokens(self, sample: Sample) -> npt.NDArray[np.uint16]:
        """A piece's tokens, (T,)."""
        tokens: npt.NDArray[np.uint16] = np.load(io.BytesIO(self.read(sample)), allow_pickle=False)
        return tokens

    def read_features(self, sample: Sample) -> dict[str, npt.NDArray[Any]]:
        """A segment's features by name; none where none were asked for."""
        if sample.features is None:
            return {}
        content = self._bytes(sample.unit, sample.features.offset, sample.features.size)
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return dict(arrays)

    def _bytes(self, unit: str, offset: int, size: int) -> bytes:
        return self._shards.read(f"units/{unit}.tar", offset, size)


def _lines(storage: Storage, key: str) -> list[str]:
    return storage.read(key).decode().split("\n")[:-1]  # not splitlines, which also breaks at U+2028 inside a title
