"""What preparing a file leaves on record: the lines of a unit's JSON, beside its tar.

Invariant: a record speaks of one source file alone, so that it holds in every data set which that file is in;
the track that the file belongs to, and the side of the split, are decided later and written elsewhere.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from mtj_api.spec.dataset import Modality
from mtj_trainer.prepare.shard import Member


@dataclass(frozen=True)
class SampleRecord:
    """One sample: tokens of a piece, or a segment of a recording.

    Attributes:
        length: tokens, or seconds.
        start: seconds from the beginning of the standardized recording; 0 for a piece.
        features: the segment's features, where they were asked for.
    """

    kind: Modality
    member: Member
    length: float
    start: float = 0.0
    features: Member | None = None


@dataclass(frozen=True)
class FileRecord:
    """A file that became training data.

    Attributes:
        seconds: how long its music lasts.
        sample_rate, channels: of the recording as it was found; ``None`` for MIDI.
        description: what tags or the notes say, in the terms of ``metadata.describe``.
        estimates: the same, as far as it was estimated from the sound.
        features: summary figures of the whole recording.
    """

    file: str
    modality: Modality
    seconds: float
    sample_rate: int | None
    channels: int | None
    description: dict[str, Any]
    samples: tuple[SampleRecord, ...] = ()
    estimates: dict[str, Any] = field(default_factory=dict)
    features: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Quarantined:
    """A file that was left out: a reason that is counted, and a sentence for the person whose file it is."""

    file: str
    reason: str
    detail: str


@dataclass(frozen=True)
class UnitRecord:
    """What became of the files of a unit, in the order of their keys."""

    hash: str
    files: tuple[FileRecord, ...]
    quarantined: tuple[Quarantined, ...]

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":")).encode()

    @staticmethod
    def from_json(text: bytes) -> UnitRecord:
        """Raises ``ValueError``, ``KeyError`` or ``TypeError`` for what ``to_json`` did not write."""
        values = json.loads(text)
        return UnitRecord(
            hash=values["hash"],
            files=tuple(_file(value) for value in values["files"]),
            quarantined=tuple(Quarantined(**value) for value in values["quarantined"]),
        )


def _file(values: dict[str, Any]) -> FileRecord:
    return FileRecord(**{**values, "samples": tuple(_sample(value) for value in values["samples"])})


def _sample(values: dict[str, Any]) -> SampleRecord:
    features = values["features"]
    return SampleRecord(
        **{**values, "member": Member(**values["member"]), "features": Member(**features) if features else None}
    )
