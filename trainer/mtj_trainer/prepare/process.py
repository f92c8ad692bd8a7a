"""What a worker does: the files of one unit, read, prepared and written as a shard with its record.

Invariant: the tar is stored before the record, so that a unit with a record is complete; and no file can stop the
others: whatever preparing it raises sets it aside with a reason. Only the storage and this machine's disk may fail a
unit, since that is no fault of a file and may be better on the next try.
Libraries of music are imported where they are used: the driver, which has no use for them, must start quickly.
"""

from __future__ import annotations

import functools
import io
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mtj_api import JobError
from mtj_api.spec import AudioPreparation, MidiPreparation
from mtj_trainer.prepare.bounds import check_size, processor_time
from mtj_trainer.prepare.quarantine import Unusable
from mtj_trainer.prepare.records import FileRecord, Quarantined, SampleRecord, UnitRecord
from mtj_trainer.prepare.shard import Member, ShardWriter
from mtj_trainer.prepare.units import Unit
from mtj_trainer.storage import Entry, Storage, open_storage

if TYPE_CHECKING:
    from mtj_trainer.tokens import Tokenizer

SUMMARIES = {
    "loudness": "loudness",
    "dynamicRange": "dynamic_range",
    "onsetStrength": "onset_strength_mean",
    "spectralContrast": "spectral_contrast_mean",
}
"""Features of segments whose mean over a recording is worth a figure of the track, and the figure's name."""


INTERNAL = "internal-error"
"""The reason of a file that is left out for a fault of ours."""


@dataclass(frozen=True)
class UnitTask:
    """All that a worker needs to know; small, since it is sent to it.

    Attributes:
        source: URL of the source that the unit's keys are relative to.
        cache: URL under which ``units/`` lies.
        killers: keys of files that ended the worker which tried them, with what was seen of it.
    """

    unit: Unit
    source: str
    cache: str
    audio: AudioPreparation
    midi: MidiPreparation
    killers: dict[str, str] = field(default_factory=dict)


def prepare_unit(task: UnitTask) -> UnitRecord:
    """Prepare a unit's files; its tar and its record are stored when this returns.

    There is no record where something failed that is not the file's fault: it may pass, as a full disk does, and the
    next run prepares the unit anew.
    """
    source, cache = open_storage(task.source), open_storage(task.cache)
    files: list[FileRecord] = []
    quarantined: list[Quarantined] = []
    with tempfile.TemporaryDirectory(prefix="unit-") as folder:
        path = Path(folder) / "unit.tar"
        with ShardWriter(path) as shard:
            for number, entry in enumerate(task.unit.entries):
                outcome = _prepare_one(task, source, entry, shard, f"{number:05d}")
                if isinstance(outcome, Quarantined):
                    quarantined.append(outcome)
                else:
                    files.append(outcome)
        record = UnitRecord(task.unit.hash, tuple(files), tuple(quarantined))
        cache.write(f"units/{task.unit.hash}.tar", path)
    if not any(one.reason == INTERNAL for one in quarantined):
        cache.write(f"units/{task.unit.hash}.json", record.to_json())
    return record


def try_unit(task: UnitTask) -> None:
    """Prepare a unit's files and store nothing: to see whether they end the worker."""
    source = open_storage(task.source)
    with tempfile.TemporaryDirectory(prefix="unit-") as folder, ShardWriter(Path(folder) / "unit.tar") as shard:
        for number, entry in enumerate(task.unit.entries):
            _prepare_one(task, source, entry, shard, f"{number:05d}")


def _prepare_one(
    task: UnitTask, source: Storage, entry: Entry, shard: ShardWriter, stem: str
) -> FileRecord | Quarantined:
    key = entry.key
    if key in task.killers:
        return Quarantined(key, "ends-worker", f"{key} ended each worker that read it ({task.killers[key]})")
    try:
        check_size(entry, task.unit.modality)
        data = source.read(key)
    except Unusable as why:
        return Quarantined(key, why.reason, why.detail)
    except FileNotFoundError:
        return Quarantined(key, "unreadable", f"{key} was there when files were listed and is not now")
    except JobError as error:
        if not isinstance(error.__cause__, PermissionError):
            raise
        return Quarantined(key, "unreadable", f"{key} may not be read by this user")
    try:
        with processor_time():
            prepared = _recording(task, key, data) if task.unit.modality == "audio" else _piece(task, key, data)
    except Unusable as why:
        return Quarantined(key, why.reason, why.detail)
    except Exception as error:
        return Quarantined(key, INTERNAL, f"{key}: {type(error).__name__}: {error}")
    return replace(prepared.record, samples=tuple(sample.write(shard, stem) for sample in prepared.samples))


@dataclass(frozen=True)
class _Sample:
    """A sample before it has its place: the end of its name, its content, and its features or none."""

    suffix: str
    content: bytes
    record: SampleRecord
    features: bytes = b""

    def write(self, shard: ShardWriter, stem: str) -> SampleRecord:
        member = shard.add(f"{stem}{self.suffix}", self.content)
        features = None
        if self.features:
            features = shard.add(f"{stem}{self.suffix.partition('.')[0]}.features.npz", self.features)
        return replace(self.record, member=member, features=features)


@dataclass(frozen=True)
class _Prepared:
    record: FileRecord
    samples: list[_Sample]


_NOWHERE = Member("", 0, 0)


def _recording(task: UnitTask, key: str, data: bytes) -> _Prepared:
    from mtj_trainer.prepare.audio import prepare_recording

    recording = prepare_recording(data, key, task.audio)
    samples = []
    for number, segment in enumerate(recording.segments):
        place = SampleRecord("audio", _NOWHERE, segment.seconds, segment.start_seconds)
        samples.append(_Sample(f"-{number:04d}.flac", segment.flac, place, _npz(segment.features)))
    found = {"tempo": recording.tempo, "key": recording.key}
    record = FileRecord(
        file=key,
        modality="audio",
        seconds=recording.duration_seconds,
        sample_rate=recording.sample_rate,
        channels=recording.channels,
        description=recording.tags,
        estimates={name: value for name, value in found.items() if value is not None},
        features=_summary([segment.features for segment in recording.segments]),
    )
    return _Prepared(record, samples)


def _piece(task: UnitTask, key: str, data: bytes) -> _Prepared:
    from miditok.constants import MIDI_INSTRUMENTS

    from mtj_trainer.prepare.midi import prepare_midi

    piece = prepare_midi(data, task.midi, _tokenizer(task.midi.model_dump_json()))
    content = io.BytesIO()
    np.save(content, piece.tokens, allow_pickle=False)
    programs = piece.conditions.instruments or ()
    known = {
        "title": piece.title,
        "key": piece.conditions.key,
        "metre": piece.conditions.metre,
        "tempo": piece.conditions.tempo,
        "programs": list(programs),
        "instruments": ["Drums" if program == 128 else MIDI_INSTRUMENTS[program]["name"] for program in programs],
    }
    record = FileRecord(
        file=key,
        modality="midi",
        seconds=piece.seconds,
        sample_rate=None,
        channels=None,
        description={name: value for name, value in known.items() if value},
    )
    return _Prepared(
        record, [_Sample(".tokens.npy", content.getvalue(), SampleRecord("midi", _NOWHERE, len(piece.tokens)))]
    )


def _npz(arrays: dict[str, npt.NDArray[Any]]) -> bytes:
    if not arrays:
        return b""
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    return content.getvalue()


@functools.cache
def _tokenizer(settings: str) -> Tokenizer:
    from mtj_trainer.tokens import make_tokenizer

    return make_tokenizer(MidiPreparation.model_validate_json(settings))


def _summary(features: list[dict[str, npt.NDArray[Any]]]) -> dict[str, float]:
    figures = {}
    for name, figure in SUMMARIES.items():
        means = np.array([np.mean(segment[name]) for segment in features if name in segment])
        if np.isfinite(means).any():
            figures[figure] = round(float(np.mean(means[np.isfinite(means)])), 4)
    return figures
