"""``python -m mtj_trainer.prepare.survey --job FILE``: how much music a source holds, in one line of JSON.

``mtj explain`` warns with it of too little data before anything is prepared. Only headers of recordings are decoded, of
at most ``SAMPLED_FILES`` files spread over the source; the rest is assumed to last as long a byte.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import soundfile

from mtj_api import MusicTrainingJob
from mtj_api.spec import Dataset
from mtj_trainer.prepare.borrowed import record_of
from mtj_trainer.prepare.importers import find_collection
from mtj_trainer.prepare.metadata import from_folders, match_rows, merge, read_rows, track_id
from mtj_trainer.prepare.units import sort_sources
from mtj_trainer.stage import run_stage
from mtj_trainer.storage import Entry, Storage, open_storage

SAMPLED_FILES = 200
SAMPLED_BYTES = 256 << 20
"""No more than this is read of a source, which may lie far away."""


def survey(job: MusicTrainingJob) -> dict[str, Any]:
    """Count the music of a job's source.

    Returns:
        ``files``, ``tracks``, ``skipped``; ``audio_hours`` and ``midi_hours``; whether they are ``estimated`` from a
        part; and ``fields``, the number of tracks that have each metadata field.
    """
    dataset = job.spec.dataset
    if dataset.importer is not None:
        return _collection(dataset)
    if dataset.prepared is not None:
        return _borrowed(open_storage(dataset.prepared))
    assert dataset.source is not None  # a rule of the spec, and another job's name has become its output
    storage = open_storage(dataset.source)
    sources = sort_sources(storage.list(), dataset.modalities)
    audio, all_audio = measure(storage, sources.audio, recording_seconds)
    midi, all_midi = measure(storage, sources.midi, piece_seconds)
    tracks = {track_id(entry.key) for entry in (*sources.audio, *sources.midi)}
    rows, _ = read_rows(storage.read, sources.metadata)
    said, _ = match_rows(rows, tracks)
    fields: Counter[str] = Counter()
    for track in tracks:
        description = merge(*([said[track]] if track in said else []), from_folders(f"{track}.x"))
        fields.update(name for name, value in {**vars(description), **description.extra}.items() if value)
    fields.pop("extra", None)
    return {
        "files": len(sources.audio) + len(sources.midi),
        "tracks": len(tracks),
        "skipped": len(sources.skipped),
        "audio_hours": round(audio / 3600, 4),
        "midi_hours": round(midi / 3600, 4),
        "estimated": not (all_audio and all_midi),
        "fields": dict(sorted(fields.items())),
    }


def _collection(dataset: Dataset) -> dict[str, Any]:
    assert dataset.importer is not None
    collection = find_collection(dataset.importer)
    return {
        "files": collection.pieces * len(dataset.modalities),
        "tracks": collection.pieces,
        "skipped": 0,
        "audio_hours": collection.hours if "audio" in dataset.modalities else 0.0,
        "midi_hours": collection.hours if "midi" in dataset.modalities else 0.0,
        "estimated": False,
        "fields": {},
    }


def _borrowed(output: Storage) -> dict[str, Any]:
    """What another job prepared, which is known to the second."""
    figures = record_of(output)["figures"]
    return {
        "files": int(figures["prepare.files"]),
        "tracks": int(figures["prepare.tracks"]),
        "skipped": 0,
        "audio_hours": figures["prepare.hours.audio"],
        "midi_hours": figures["prepare.hours.midi"],
        "estimated": False,
        "fields": {},
    }


def measure(storage: Storage, entries: Sequence[Entry], seconds_of: Callable[[bytes], float]) -> tuple[float, bool]:
    """Seconds of music in files of a kind, and whether each of them was looked at; what cannot be read has none."""
    every = max(1, -(-len(entries) // SAMPLED_FILES))
    seconds, looked_at, size = 0.0, 0, 0
    for entry in entries[every // 2 :: every]:
        if size + entry.size > SAMPLED_BYTES and looked_at:
            break
        seconds += seconds_of(storage.read(entry.key))
        looked_at += 1
        size += entry.size
    if looked_at == len(entries):
        return seconds, True
    return seconds * sum(entry.size for entry in entries) / max(1, size), False


def recording_seconds(data: bytes) -> float:
    """The length that a recording's header names, 0 where there is none."""
    try:
        return float(soundfile.info(io.BytesIO(data)).duration)
    except (soundfile.SoundFileError, OSError):
        return 0.0


def piece_seconds(data: bytes) -> float:
    """The length of a MIDI file as played, 0 for what is none."""
    from symusic import Score

    try:
        return float(Score.from_midi(data, ttype="second").end())
    except Exception:  # symusic's parser raises several kinds
        return 0.0


def main(job: MusicTrainingJob) -> None:
    """Print how much music a job's source holds."""
    print(json.dumps(survey(job), ensure_ascii=False))


if __name__ == "__main__":
    run_stage(main)
