"""Source files grouped into units of work, each named by the hash of all that decides what comes out of it.

Invariant: whether a unit ends after a file follows from that file alone (content-defined chunking, Muthitacharoen,
Chen and Mazieres, LBFS, 2001). Adding, changing or removing one file therefore touches the unit that it lies in,
or splits it or joins it with its neighbour, and no other: everything else keeps its hash and is never made again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from mtj_api.spec import AudioPreparation, MidiPreparation
from mtj_api.spec.dataset import Modality
from mtj_trainer.storage import Entry

PREPARATION_VERSION = 1
"""Raise it with any change of code that changes what a file becomes: all prepared data is then made anew."""

FILES_A_UNIT = 16
"""How many small files a unit holds on average: enough to make a task and a shard worth their overhead."""

AUDIO_SECONDS_A_UNIT = 240.0
"""How much audio a unit holds on average: a few seconds of work, so that workers stay equally busy to the end."""

BYTES_A_SECOND = {".wav": 176_400, ".flac": 100_000, ".ogg": 20_000, ".mp3": 20_000}
"""What audio typically takes, by extension; it only shapes units, so it need not be exact."""

MIDI_EXTENSIONS = frozenset({".mid", ".midi"})
METADATA_NAMES = frozenset({"metadata.jsonl", "metadata.csv"})


@dataclass(frozen=True)
class Unit:
    """Files that one task turns into one shard.

    Attributes:
        hash: of the settings, the code's version, and each file's key, size and version.
        modality: what all its files are.
        entries: the files, in the order of their keys.
    """

    hash: str
    modality: Modality
    entries: tuple[Entry, ...]

    @property
    def size(self) -> int:
        """Bytes of source."""
        return sum(entry.size for entry in self.entries)


@dataclass(frozen=True)
class Sources:
    """What lies at a source, by what is done with it; each in the order of keys."""

    audio: tuple[Entry, ...]
    midi: tuple[Entry, ...]
    metadata: tuple[Entry, ...]
    skipped: tuple[Entry, ...]


def sort_sources(entries: Iterable[Entry], modalities: Iterable[Modality]) -> Sources:
    """Tell audio, MIDI and metadata apart by name; what is hidden, unknown or not asked for is skipped."""
    wanted = frozenset(modalities)
    found: dict[str, list[Entry]] = {"audio": [], "midi": [], "metadata": [], "skipped": []}
    for entry in sorted(entries, key=lambda entry: entry.key):
        found[_kind(entry.key, wanted)].append(entry)
    return Sources(**{kind: tuple(files) for kind, files in found.items()})


def plan_units(sources: Sources, audio: AudioPreparation, midi: MidiPreparation) -> list[Unit]:
    """The units of both modalities; each depends on the settings of its own modality alone."""
    return [
        *_units(sources.audio, "audio", _fingerprint(audio)),
        *_units(sources.midi, "midi", _midi_fingerprint(midi)),
    ]


def is_music(key: str) -> bool:
    """Whether a file of this name is audio or MIDI."""
    return _kind(key, frozenset({"audio", "midi"})) in ("audio", "midi")


def audio_seconds(entry: Entry) -> float:
    """About how long a recording is, from its name and size."""
    return entry.size / BYTES_A_SECOND[PurePosixPath(entry.key).suffix.lower()]


def stable_hash(*parts: Any) -> str:
    """A hash of JSON values that is the same in every process and on every machine: 32 hexadecimal digits."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _kind(key: str, wanted: frozenset[Modality]) -> str:
    path = PurePosixPath(key)
    if any(part.startswith(".") for part in path.parts):
        return "skipped"  # .git, .DS_Store, and the ._name.mp3 that macOS leaves beside each file
    if path.name.lower() in METADATA_NAMES:
        return "metadata"
    extension = path.suffix.lower()
    if extension in BYTES_A_SECOND and "audio" in wanted:
        return "audio"
    if extension in MIDI_EXTENSIONS and "midi" in wanted:
        return "midi"
    return "skipped"


def _units(entries: tuple[Entry, ...], modality: Modality, settings: str) -> list[Unit]:
    units = []
    group: list[Entry] = []
    for index, entry in enumerate(entries):
        group.append(entry)
        if _ends_unit(entry, modality) or index == len(entries) - 1:
            files = [[file.key, file.size, file.version] for file in group]
            units.append(Unit(stable_hash(PREPARATION_VERSION, modality, settings, files), modality, tuple(group)))
            group = []
    return units


def _ends_unit(entry: Entry, modality: Modality) -> bool:
    share = 1 / FILES_A_UNIT
    if modality == "audio":
        share = max(share, audio_seconds(entry) / AUDIO_SECONDS_A_UNIT)
    return int(stable_hash(entry.key)[:8], 16) < share * 2**32


def _fingerprint(settings: AudioPreparation | MidiPreparation, without: frozenset[str] = frozenset()) -> str:
    return settings.model_dump_json(exclude=set(without))


def _midi_fingerprint(settings: MidiPreparation) -> str:
    """Without what this tokenizer does not read."""
    unread = "velocity_bins" if settings.tokenizer == "grid" else "voices"
    return _fingerprint(settings, frozenset({unread}))
