"""The prepare stage: find the source's files, prepare the units that are missing, and write the data set down.

    source or importer -> units (content-addressed) -> data set (units, metadata, split) -> stages/prepare.json
    another job's data set ---------------------------------------------------------------^
    codes of the data set's recordings, where the model is one of a codec's tokens -------^

Invariant: every step looks for its result first, under the hash of what would make it. A rerun does what is missing
and nothing else; with nothing missing it only lists files.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from mtj_api import JobError, MusicTrainingJob
from mtj_api.spec import Dataset
from mtj_api.spec.model import MUSICGEN_FAMILIES
from mtj_trainer.prepare import manifest
from mtj_trainer.prepare.borrowed import borrow
from mtj_trainer.prepare.importers import find_collection
from mtj_trainer.prepare.metadata import LARGEST_BYTES, read_rows, track_id
from mtj_trainer.prepare.pool import Lost, WorkerPool
from mtj_trainer.prepare.process import UnitTask, prepare_unit, try_unit
from mtj_trainer.prepare.record import Prepared, write_record
from mtj_trainer.prepare.records import UnitRecord
from mtj_trainer.prepare.units import Sources, Unit, is_music, plan_units, sort_sources
from mtj_trainer.progress import Progress
from mtj_trainer.storage import Entry, Storage, open_storage

READERS = 16
"""How many unit records are read at a time; they are small, and may lie far away."""


@dataclass(frozen=True)
class Source:
    """Where the music lies, and what is there."""

    storage: Storage
    entries: tuple[Entry, ...]
    name: str


def prepare(job: MusicTrainingJob, pool: WorkerPool) -> dict[str, Any]:
    """Prepare a job's data and return the stage's record, which is also at ``stages/prepare.json`` of the output.

    Args:
        pool: started when there is work for it.

    Raises:
        JobError: there is no music, none of it is usable, it cannot be divided as the job asks, or what the job names
            beside it is not there.
    """
    prepared = _prepare_source(job, pool) if job.spec.dataset.prepared is None else borrow(job)
    codes = None
    if job.spec.model is not None and job.spec.model.family in MUSICGEN_FAMILIES:
        from mtj_trainer.prepare.codes.stage import make_codes

        codes = make_codes(job, prepared.url, pool)
    return write_record(job, prepared, codes)


def _prepare_source(job: MusicTrainingJob, pool: WorkerPool) -> Prepared:
    dataset = job.spec.dataset
    cache = open_storage(dataset.cache)
    source = _find_source(dataset, cache, pool)
    sources = sort_sources(source.entries, dataset.modalities)
    if not sources.audio and not sources.midi:
        raise _no_music(dataset, source, sources)
    units = plan_units(sources, dataset.audio, dataset.midi)
    metadata = [
        (entry.key, source.storage.read(entry.key) if entry.size <= LARGEST_BYTES else b"")
        for entry in sources.metadata
    ]
    name = manifest.dataset_hash(units, metadata, dataset.split)
    missing = _missing_units(cache, units)
    made = _make_units(missing, dataset, source, pool)
    written = None if missing else _read_manifest(cache, name)
    if written is None:
        texts = dict(metadata)
        rows, complaints = read_rows(texts.__getitem__, sources.metadata)
        others = frozenset(track_id(entry.key) for entry in sources.skipped if is_music(entry.key))
        contents = manifest.Contents(_read_units(cache, units, made), rows, complaints, others)
        written = manifest.write_dataset(cache, name, contents, dataset.split)
    figures = {
        **manifest.figures(written),
        "prepare.skipped": len(sources.skipped),
        "prepare.units.made": len(missing),
        "prepare.units.reused": len(units) - len(missing),
    }
    return Prepared(f"{cache.url}/datasets/{written['hash']}", source.name, figures, written["warnings"])


def _find_source(dataset: Dataset, cache: Storage, pool: WorkerPool) -> Source:
    if dataset.importer is not None:
        imported = find_collection(dataset.importer).fetch(cache, dataset.modalities, pool)
        return Source(imported.storage, imported.entries, dataset.importer)
    assert dataset.source is not None  # a rule of the spec
    storage = open_storage(dataset.source)
    return Source(storage, tuple(storage.list()), dataset.source)


def _no_music(dataset: Dataset, source: Source, sources: Sources) -> JobError:
    wanted = " or ".join({"audio": "audio (wav, flac, ogg, mp3)", "midi": "MIDI"}[m] for m in dataset.modalities)
    others = sorted({PurePosixPath(entry.key).suffix or "no extension" for entry in sources.skipped})
    found = f"{len(sources.skipped)} other files ({', '.join(others[:5])})" if others else "nothing"
    return JobError(
        f"there is no {wanted} at {source.name}, but {found}" if others else f"there is nothing at {source.name}",
        where="spec.dataset.source",
        instead="name a folder or prefix that holds such files"
        + ("" if len(dataset.modalities) > 1 else ", or say spec.dataset.modalities"),
    )


def _missing_units(cache: Storage, units: Iterable[Unit]) -> list[Unit]:
    stored = {entry.key for entry in cache.list("units")}
    return [u for u in units if not {f"units/{u.hash}.tar", f"units/{u.hash}.json"} <= stored]


def _make_units(missing: list[Unit], dataset: Dataset, source: Source, pool: WorkerPool) -> dict[str, UnitRecord]:
    """Prepare units, the largest first so that no worker is left alone with one at the end."""
    if not missing:
        return {}
    tasks = [
        UnitTask(unit, source.storage.url, str(dataset.cache), dataset.audio, dataset.midi)
        for unit in sorted(missing, key=lambda unit: (unit.modality, -unit.size))
    ]
    total = sum(len(unit.entries) for unit in missing)
    progress = Progress("prepare", total)
    progress.say(f"{total} files in {len(missing)} units, {dataset.workers.count} at a time")
    made: dict[str, UnitRecord] = {}
    deadly: list[UnitTask] = []
    files = left_out = 0
    for outcome in pool.run(prepare_unit, tasks):
        if isinstance(outcome, Lost):
            deadly.append(outcome.item)
            continue
        made[outcome.result.hash] = outcome.result
        files += len(outcome.item.unit.entries)
        left_out += len(outcome.result.quarantined)
        progress.update(files, f"files, {left_out} left out")
    for task in deadly:
        made[task.unit.hash] = without_killers(task, pool)
        files += len(task.unit.entries)
        progress.update(files, "files")
    return made


def without_killers(task: UnitTask, pool: WorkerPool) -> UnitRecord:
    """Prepare a unit whose worker died each time: find by trial which files do that, and leave them out.

    Raises:
        WorkerDiedError: it dies even without them.
    """
    alone = [
        replace(task, unit=replace(task.unit, hash=f"{task.unit.hash}-{number}", entries=(entry,)))
        for number, entry in enumerate(task.unit.entries)
    ]
    killers = {
        outcome.item.unit.entries[0].key: outcome.why
        for outcome in pool.run(try_unit, alone)
        if isinstance(outcome, Lost)
    }
    (done,) = pool.run_all(prepare_unit, [replace(task, killers=killers)])
    return done.result


def _read_units(cache: Storage, units: list[Unit], made: dict[str, UnitRecord]) -> list[UnitRecord]:
    def read(unit: Unit) -> UnitRecord:
        return made.get(unit.hash) or UnitRecord.from_json(cache.read(f"units/{unit.hash}.json"))

    with ThreadPoolExecutor(READERS) as readers:
        return list(readers.map(read, units))


def _read_manifest(cache: Storage, name: str) -> dict[str, Any] | None:
    try:
        written: dict[str, Any] = json.loads(cache.read(f"datasets/{name}/manifest.json"))
    except FileNotFoundError:
        return None
    return written
