"""A data set written down: tracks with their side of the split, samples with their place, and the figures of both.

Invariant: ``manifest.json`` is written last, and all that is written follows from the units, the metadata and the split
alone. So the same music and settings give the same bytes, however often and with however many workers.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from mtj_api import JobError
from mtj_api.spec import Split
from mtj_trainer.prepare.dataset import Sample, Track
from mtj_trainer.prepare.metadata import (
    Complaint,
    Description,
    Row,
    describe,
    from_folders,
    match_rows,
    merge,
    track_id,
)
from mtj_trainer.prepare.records import FileRecord, Quarantined, UnitRecord
from mtj_trainer.prepare.split import SIDES, Division, Side, divide
from mtj_trainer.prepare.units import Unit, stable_hash
from mtj_trainer.storage import Storage

DATASET_VERSION = 1
"""Raise it with any change of how tracks are described or divided: data sets are then written anew, units are not."""


MOST_COMPLAINTS = 1000
"""That are told one by one."""


@dataclass(frozen=True)
class Contents:
    """What a data set is made of.

    Attributes:
        units: with what became of their files.
        rows, complaints: of the metadata files.
        others: tracks at the source whose files were not asked for; a row that speaks of one is no fault.
    """

    units: Sequence[UnitRecord]
    rows: Sequence[Row]
    complaints: Sequence[Complaint]
    others: frozenset[str] = frozenset()


def dataset_hash(units: Iterable[Unit], metadata: Iterable[tuple[str, bytes]], split: Split) -> str:
    """The name of a data set, known before anything is prepared.

    Args:
        metadata: key and content of each metadata file.
    """
    contents = [[key, stable_hash(content.hex())] for key, content in metadata]
    return stable_hash(DATASET_VERSION, [unit.hash for unit in units], contents, split.model_dump(mode="json"))


def write_dataset(cache: Storage, name: str, contents: Contents, split: Split) -> dict[str, Any]:
    """Write the data set ``name`` and return its manifest.

    Raises:
        JobError: no file is usable, or the tracks cannot be divided as asked.
    """
    quarantined = sorted((q for unit in contents.units for q in unit.quarantined), key=lambda q: q.file)
    files = {record.file: (record, unit.hash) for unit in contents.units for record in unit.files}
    if not files:
        raise JobError(
            f"none of {len(quarantined)} files can be used ({_reasons_text(quarantined)})",
            where="spec.dataset",
            instead="mend or replace the files, or loosen spec.dataset.audio and spec.dataset.midi",
        )
    members: dict[str, list[FileRecord]] = defaultdict(list)
    for file in sorted(files):
        members[track_id(file)].append(files[file][0])
    everything = [*files, *(q.file for q in quarantined)]
    said, unmatched = match_rows(contents.rows, contents.others.union(map(track_id, everything)))
    described = {track: _describe(records, said.get(track)) for track, records in members.items()}
    division = _divide(described, split)
    tracks = [_track(track, members[track], described[track], division.sides[track]) for track in sorted(members)]
    samples = [
        Sample(
            kind=sample.kind,
            unit=files[record.file][1],
            member=sample.member.name,
            offset=sample.member.offset,
            size=sample.member.size,
            length=sample.length,
            track=track.id,
            split=track.split,
            start=sample.start,
            features=sample.features,
        )
        for track in tracks
        for record in members[track.id]
        for sample in record.samples
    ]
    complaints = [*contents.complaints, *unmatched]
    records = {track.id: members[track.id] for track in tracks}
    manifest = {
        "hash": name,
        "units": [unit.hash for unit in contents.units],
        "split": split.model_dump(mode="json", by_alias=True),
        "tracks": {side: sum(track.split == side for track in tracks) for side in SIDES},
        "samples": {side: sum(sample.split == side for sample in samples) for side in SIDES},
        "hours": _hours(records, division.sides),
        "tokens": {side: int(sum(s.length for s in samples if s.split == side and s.kind == "midi")) for side in SIDES},
        "files": len(everything),
        "quarantined": [{"file": q.file, "reason": q.reason, "detail": q.detail} for q in quarantined],
        "metadata": {kind: sum(c.kind == kind for c in complaints) for kind in ("malformed", "unmatched")},
        "warnings": [*division.warnings, *_some(complaints)],
        "complete": True,
    }
    folder = cache.child(f"datasets/{name}")
    folder.write("tracks.jsonl", _jsonl(tracks))
    folder.write("samples.jsonl", _jsonl(samples))
    folder.write("manifest.json", json.dumps(manifest, ensure_ascii=False, indent=1).encode())
    return manifest


def _some(complaints: Sequence[Complaint]) -> list[str]:
    """The first of them: a file of other things under the name of metadata has one for each of its lines."""
    more = [f"and {len(complaints) - MOST_COMPLAINTS:,} more"] if len(complaints) > MOST_COMPLAINTS else []
    return [*map(str, complaints[:MOST_COMPLAINTS]), *more]


def figures(manifest: Mapping[str, Any]) -> dict[str, float]:
    """A data set's numbers under dotted names."""
    reasons = Counter(item["reason"] for item in manifest["quarantined"])
    numbers: dict[str, float] = {
        "prepare.files": manifest["files"],
        "prepare.tracks": sum(manifest["tracks"].values()),
        "prepare.samples": sum(manifest["samples"].values()),
        "prepare.hours.audio": round(sum(manifest["hours"]["audio"].values()), 4),
        "prepare.hours.midi": round(sum(manifest["hours"]["midi"].values()), 4),
        "prepare.tokens": sum(manifest["tokens"].values()),
        "prepare.quarantined": len(manifest["quarantined"]),
    }
    numbers |= {f"prepare.quarantined.{reason}": count for reason, count in sorted(reasons.items())}
    numbers |= {f"prepare.tracks.{side}": manifest["tracks"][side] for side in SIDES}
    numbers |= {f"prepare.metadata.{kind}": count for kind, count in manifest["metadata"].items() if count}
    return numbers


def _describe(records: list[FileRecord], said: Description | None) -> Description:
    """Rows of metadata, tags of a recording, what a MIDI file says, what a recording sounds like, then folders."""
    recordings_first = sorted(records, key=lambda record: record.modality)
    told = [describe(record.description)[0] for record in recordings_first]
    estimated = [describe(record.estimates)[0] for record in recordings_first]
    return merge(*([said] if said else []), *told, *estimated, from_folders(records[0].file))


def _divide(described: Mapping[str, Description], split: Split) -> Division:
    known = {f.name for f in fields(Description)} | {name for d in described.values() for name in d.extra}
    for name in split.keep_together:
        if name not in known or name == "extra":
            raise JobError(
                f"no track has the metadata field {name!r}",
                where="spec.dataset.split.keepTogether",
                instead=f"write some of {', '.join(sorted(known - {'extra'}))}",
            )
    return divide(
        {track: {name: _values(d, name) for name in split.keep_together} for track, d in described.items()}, split
    )


def _values(description: Description, name: str) -> tuple[str, ...]:
    value = getattr(description, name, None) if name != "extra" else None
    if value is None:
        value = description.extra.get(name)
    if value is None:
        return ()
    return tuple(map(str, value)) if isinstance(value, tuple) else (str(value),)


def _track(track: str, records: list[FileRecord], description: Description, side: Side) -> Track:
    main = min(records, key=lambda record: record.modality)  # "audio" before "midi"
    told = {f.name: getattr(description, f.name) for f in fields(Description) if f.name != "extra"}
    return Track(
        id=track,
        file_path=main.file,
        files=tuple(record.file for record in records),
        split=side,
        duration=round(main.seconds, 3),
        sample_rate=main.sample_rate,
        channels=main.channels,
        features=main.features,
        extra=dict(description.extra),
        **told,
    )


def _hours(records: Mapping[str, list[FileRecord]], sides: Mapping[str, Side]) -> dict[str, dict[str, float]]:
    hours = {modality: dict.fromkeys(SIDES, 0.0) for modality in ("audio", "midi")}
    for track, files in records.items():
        for record in files:
            hours[record.modality][sides[track]] += record.seconds / 3600
    return {modality: {side: round(h, 6) for side, h in by_side.items()} for modality, by_side in hours.items()}


def _reasons_text(quarantined: Iterable[Quarantined]) -> str:
    reasons = Counter(q.reason for q in quarantined)
    return ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())


def _jsonl(lines: Iterable[Track] | Iterable[Sample]) -> bytes:
    return "".join(f"{line.to_json()}\n" for line in lines).encode()
