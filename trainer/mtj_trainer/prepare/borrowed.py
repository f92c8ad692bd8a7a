"""Another job's prepared data as a job's own: nothing is prepared, and both read the same files.

Invariant: tracks lie on the side of the split that the other job put them on, so that what a chain of jobs is tested
with is heard by none of them in training.
"""

from __future__ import annotations

import json
from typing import Any

from mtj_api import JobError, MusicTrainingJob, parse_resolved_job
from mtj_api.spec import MidiPreparation
from mtj_api.spec.dataset import Modality
from mtj_api.spec.model import AUDIO_FAMILIES
from mtj_trainer.prepare import manifest
from mtj_trainer.prepare.dataset import PreparedDataset
from mtj_trainer.prepare.record import RECORD, Prepared
from mtj_trainer.stage import work_dir
from mtj_trainer.storage import Storage, open_storage

WHERE = "spec.dataset.from"


def borrow(job: MusicTrainingJob) -> Prepared:
    """The data set that another job prepared, whose output ``dataset.prepared`` names.

    Raises:
        JobError: it has prepared none, or none that this job's family can read.
    """
    assert job.spec.dataset.prepared is not None
    other = open_storage(job.spec.dataset.prepared)
    record = record_of(other)
    dataset = PreparedDataset.open(record["dataset"], work_dir())
    _check(job, other, dataset)
    made = {"prepare.units.made": 0, "prepare.units.reused": len(dataset.manifest["units"])}
    figures = {**manifest.figures(dataset.manifest), **made}
    return Prepared(record["dataset"], record["source"], figures, record["warnings"])


def record_of(output: Storage) -> dict[str, Any]:
    """What another job says of the data that it prepared.

    Raises:
        JobError: it has prepared none.
    """
    try:
        record: dict[str, Any] = json.loads(output.read(RECORD))
    except FileNotFoundError:
        raise JobError(
            f"the job of {output.url} has not prepared its data", where=WHERE, instead="run that job first"
        ) from None
    return record


def _check(job: MusicTrainingJob, other: Storage, dataset: PreparedDataset) -> None:
    if job.spec.model is None:
        return
    family = job.spec.model.family
    needed: Modality = "audio" if family in AUDIO_FAMILIES else "midi"
    if not any(dataset.manifest["hours"][needed].values()):
        kind = {"audio": "recordings", "midi": "MIDI"}[needed]
        raise JobError(
            f"the data of {other.url} has no {kind}, which is all that the family {family} reads",
            where=WHERE,
            instead=f"name a job whose dataset.modalities has {needed}, or give a source",
        )
    if needed == "midi" and (made := _midi_settings(other)) != job.spec.dataset.midi:
        raise JobError(
            f"the data of {other.url} was made with other tokens",
            where="spec.dataset.midi",
            instead=f"write midi: {json.dumps(made.model_dump(by_alias=True))}",
        )


def _midi_settings(output: Storage) -> MidiPreparation:
    """How the job of this output, or the one that it borrows from in turn, made tokens."""
    seen: set[str] = set()
    while output.url not in seen:
        seen.add(output.url)
        dataset = parse_resolved_job(output.read("job.json"), f"{output.url}/job.json").spec.dataset
        if dataset.prepared is None:
            return dataset.midi
        output = open_storage(dataset.prepared)
    raise JobError(
        f"the data of {output.url} are borrowed from that same place",
        where=WHERE,
        instead="name the job that prepared them",
    )
