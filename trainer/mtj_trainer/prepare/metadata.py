"""What is known about a track besides its sound: from a file beside the music, from tags, from folder names.

Invariant: what a person wrote in ``metadata.jsonl`` or ``metadata.csv`` wins over tags in the file, which win over
folder names; a value that cannot be understood is left out with a complaint that names its line, never guessed.
The fields are the guide's schema, with ``title``, ``artist``, ``album``, ``composer``, ``metre`` and ``programs``.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import PurePosixPath
from typing import Any

from mtj_api.errors import visible
from mtj_trainer.storage import Entry

FILE_FIELDS = ("file_path", "file_name")
"""Which field of a row names its file: relative to the row's own folder or to the source, or by its mere name."""

PLAIN_FOLDERS = frozenset(
    {
        *("audio", "midi", "mid", "mp3", "wav", "flac", "ogg", "raw", "processed"),
        *("music", "songs", "tracks", "data", "dataset", "misc"),
        *("train", "training", "validation", "valid", "val", "test"),
    }
)
"""Folder names that say how files are stored and not who plays; they make no artist and no album."""

ALIASES = {
    "date": "year",
    "bpm": "tempo",
    "initialkey": "key",
    "initial_key": "key",
    "time_signature": "metre",
    "meter": "metre",
    "genres": "genre",
    "moods": "mood",
}
"""Other names under which tags and published data sets keep the same things."""

_DERIVED = frozenset({"id", "duration", "sample_rate", "channels", "split", "features"})
"""Fields of the schema that follow from the file itself; what a row says of them is not needed."""


LARGEST_BYTES = 256 << 20
"""Of a metadata file, which is read as a whole: what half a million tracks need."""


LONGEST_SENTENCE = 400
"""Of a complaint, which quotes what it is about."""


@dataclass(frozen=True)
class Description:
    """What is known about a track; ``None`` and empty mean unknown.

    Attributes:
        tempo: quarter notes a minute.
        key: as ``Cmaj`` or ``F#min``.
        metre: as ``3/4``.
        programs: General MIDI programs from 0; 128 is a drum kit.
        source: the name of the collection it is from.
        extra: whatever else a row said, as text, by field.
    """

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
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Complaint:
    """Something wrong with a row of metadata: ``kind`` is ``malformed`` or ``unmatched``."""

    kind: str
    where: str
    what: str

    def __str__(self) -> str:
        return visible(f"{self.where}: {self.what}"[:LONGEST_SENTENCE])


@dataclass(frozen=True)
class Row:
    """A row of a metadata file.

    Attributes:
        where: the metadata file and the line.
        folder: where the metadata file lies, relative to the source; ``.`` for the source itself.
        file: what the row calls its file.
    """

    where: str
    folder: str
    file: str
    description: Description


def track_id(file: str) -> str:
    """The track that a file belongs to: files of the same name but for their extension are one."""
    return str(PurePosixPath(file).with_suffix(""))


def merge(*descriptions: Description) -> Description:
    """The first known value of each field."""
    values: dict[str, Any] = {}
    for name in (f.name for f in fields(Description) if f.name != "extra"):
        values[name] = next(
            (value for d in descriptions if (value := getattr(d, name)) not in (None, ())),
            getattr(Description, name, ()),
        )
    extra: dict[str, str] = {}
    for description in reversed(descriptions):
        extra.update(description.extra)
    return Description(**values, extra=extra)


def describe(values: Mapping[str, Any]) -> tuple[Description, list[str]]:
    """A description from a row or from tags, and a sentence for each value that could not be understood."""
    known: dict[str, Any] = {}
    extra: dict[str, str] = {}
    complaints = []
    for name, value in values.items():
        target = ALIASES.get(name.strip().casefold(), name.strip().casefold())
        if value in (None, "", []) or target in _DERIVED or target in FILE_FIELDS or target in known:
            continue
        if target not in _READERS:
            extra[target] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            continue
        try:
            known[target] = _READERS[target](value)
        except (ValueError, TypeError, OverflowError):
            complaints.append(f"{name} {json.dumps(value, ensure_ascii=False, default=str)} is not {_WANTED[target]}")
    return Description(**known, extra=extra), complaints


def from_folders(key: str) -> Description:
    """Artist and album of ``artist/album/track.ext``."""
    parts = PurePosixPath(key).parts
    if len(parts) < 3 or any(part.casefold() in PLAIN_FOLDERS for part in parts[-3:-1]):
        return Description()
    return Description(artist=parts[-3], album=parts[-2])


def read_rows(read: Callable[[str], bytes], entries: Iterable[Entry]) -> tuple[list[Row], list[Complaint]]:
    """The rows of all metadata files at a source; ``read`` gives the content of a key."""
    rows: list[Row] = []
    complaints: list[Complaint] = []
    for entry in entries:
        if entry.size > LARGEST_BYTES:
            complaints.append(Complaint("malformed", entry.key, f"has more than {LARGEST_BYTES >> 20} MiB"))
            continue
        folder = str(PurePosixPath(entry.key).parent)
        try:
            text = read(entry.key).decode("utf-8-sig")
        except UnicodeDecodeError:
            complaints.append(Complaint("malformed", entry.key, "is not text in UTF-8"))
            continue
        parse = _csv_rows if entry.key.lower().endswith(".csv") else _jsonl_rows
        for line, values in parse(text):
            where = f"{entry.key}:{line}"
            if isinstance(values, str):
                complaints.append(Complaint("malformed", where, values))
                continue
            file = next((str(values[name]) for name in FILE_FIELDS if values.get(name)), "")
            if not PurePosixPath(file.replace("\\", "/")).name:
                complaints.append(Complaint("malformed", where, "names no file; give file_path"))
                continue
            description, sentences = describe(values)
            complaints.extend(Complaint("malformed", where, sentence) for sentence in sentences)
            rows.append(Row(where, folder, file, description))
    return rows, complaints


def match_rows(rows: Iterable[Row], tracks: Collection[str]) -> tuple[dict[str, Description], list[Complaint]]:
    """What rows say of each track.

    Args:
        tracks: ids of all tracks; a row that names any file of a track, whatever its extension, speaks of the track.

    Returns:
        Descriptions by track; where several rows speak of a track, the first one that knows a value counts.
    """
    by_name: dict[tuple[str, str], list[str]] = {}
    for track in tracks:
        path = PurePosixPath(track)
        for folder in path.parents:
            by_name.setdefault((str(folder), path.name), []).append(track)
    found: dict[str, list[Description]] = {}
    complaints: list[Complaint] = []
    for row in rows:
        matching = _matching_track(row, tracks, by_name)
        if matching is None:
            complaints.append(Complaint("unmatched", row.where, f"no music file matches {row.file!r}"))
        else:
            found.setdefault(matching, []).append(row.description)
    return {track: merge(*descriptions) for track, descriptions in found.items()}, complaints


def parse_key(text: str) -> str:
    """``C major``, ``Am`` or ``F#min`` as ``Cmaj``, ``Amin``, ``F#min``; ``ValueError`` for what is no key."""
    match = re.fullmatch(r"([A-Ga-g])\s?(#|b|♯|♭)?\s*(?:(m|min|minor)|(M|maj|major)?)", text.strip())
    if match is None or (match[1].islower() and not (match[3] or match[4])):
        raise ValueError(text)
    accidental = {"♯": "#", "♭": "b"}.get(match[2] or "", match[2] or "")
    return f"{match[1].upper()}{accidental}{'min' if match[3] else 'maj'}"


def _matching_track(row: Row, tracks: Collection[str], by_name: Mapping[tuple[str, str], list[str]]) -> str | None:
    file = PurePosixPath(row.file.replace("\\", "/"))
    named = (track_id(str(file)), str(file))  # the second for a row that leaves the extension out
    for name in named:
        for track in (str(PurePosixPath(row.folder) / name), name):
            if track in tracks:
                return track
    for name in named:
        alike = by_name.get((row.folder, PurePosixPath(name).name), [])
        if len(alike) == 1:
            return alike[0]
    return None


def _jsonl_rows(text: str) -> Iterable[tuple[int, dict[str, Any] | str]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
            json.dumps(values, ensure_ascii=False).encode()  # half a character of two can be written, but not kept
        except json.JSONDecodeError as error:
            yield number, f"is not JSON ({error.msg})"
        except (ValueError, RecursionError):  # numbers of thousands of digits, brackets of thousands of levels
            yield number, "is not JSON that can be kept"
        else:
            yield number, values if isinstance(values, dict) else "is not a JSON object"


def _csv_rows(text: str) -> Iterable[tuple[int, dict[str, Any] | str]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        for values in reader:
            if None in values or None in values.values():
                yield reader.line_num, f"has not the {len(reader.fieldnames or ())} columns of the first line"
            else:
                yield reader.line_num, values
    except csv.Error as error:
        yield reader.line_num, f"is not CSV ({error})"


def _text(value: Any) -> str:
    if isinstance(value, list):
        value = "; ".join(str(part) for part in value)
    if isinstance(value, dict) or not str(value).strip():
        raise ValueError
    return str(value).strip()


def _texts(value: Any) -> tuple[str, ...]:
    parts = value if isinstance(value, list) else str(value).split(";")
    return tuple(dict.fromkeys(text for part in parts if (text := _text(part) if str(part).strip() else "")))


def _tempo(value: Any) -> float:
    tempo = float(value)
    if not 1.0 <= tempo <= 1000.0:
        raise ValueError
    return tempo


def _year(value: Any) -> int:
    match = re.match(r"\s*(\d{4})(?!\d)", str(value))
    if match is None:
        raise ValueError
    return int(match[1])


def _metre(value: Any) -> str:
    match = re.fullmatch(r"\s*([1-9]\d?)\s*/\s*(1|2|4|8|16)\s*", str(value))
    if match is None:
        raise ValueError
    return f"{match[1]}/{match[2]}"


def _programs(value: Any) -> tuple[int, ...]:
    programs = tuple(int(part) for part in (value if isinstance(value, list) else str(value).split(";")))
    if not all(0 <= program <= 128 for program in programs):
        raise ValueError
    return programs


_READERS: dict[str, Callable[[Any], Any]] = {
    "title": _text,
    "artist": _text,
    "album": _text,
    "composer": _text,
    "genre": _texts,
    "instruments": _texts,
    "mood": _texts,
    "tempo": _tempo,
    "key": lambda value: parse_key(str(value)),
    "metre": _metre,
    "programs": _programs,
    "year": _year,
    "source": _text,
}

_WANTED = {
    **dict.fromkeys(("title", "artist", "album", "composer", "source"), "text"),
    **dict.fromkeys(("genre", "instruments", "mood"), "a list of texts"),
    "tempo": "a number of quarter notes a minute",
    "key": "a key such as Cmaj or F#min",
    "metre": "a metre such as 3/4",
    "programs": "a list of General MIDI programs from 0 to 128",
    "year": "a year",
}
