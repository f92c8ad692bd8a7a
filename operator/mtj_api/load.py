"""Reading a job: from a file or text to a resolved job, or to a sentence for every fault in it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from pydantic import ValidationError

from mtj_api.document import LARGEST_TEXT, Document, decoded, read_document, with_settings
from mtj_api.errors import JobError
from mtj_api.faults import explain_fault, explain_missing_version, explain_nothing
from mtj_api.resolve import Resolution, resolve, resolved_job
from mtj_api.spec import MusicTrainingJob


class InvalidJob(JobError):  # noqa: N818 - it is what it says, a JobError with several sentences
    """A job with one or more faults; ``errors`` has a sentence for each."""

    def __init__(self, errors: Sequence[JobError]) -> None:
        self.errors = tuple(errors)
        first = self.errors[0]
        super().__init__(first.what, where=first.where, instead=first.instead)

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.errors)


def load_job(path: Path, settings: Sequence[str] = ()) -> Resolution:
    """Read, check and resolve a job file.

    Args:
        path: the file.
        settings: values that take the place of the file's, each as ``spec.training.steps=100``.

    Raises:
        JobError: the file cannot be read or holds no single job, or (``InvalidJob``) the job is wrong.
    """
    try:
        with path.open("rb") as file:
            return load_open_job(file, str(path), settings)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise JobError(
            f"cannot read the job file ({reason})", where=str(path), instead="name a file with a MusicTrainingJob"
        ) from error


def load_open_job(file: BinaryIO, source: str, settings: Sequence[str] = ()) -> Resolution:
    """The same of a file that is open, such as standard input; no more of it is read than a job may be long."""
    return parse_job(decoded(file.read(LARGEST_TEXT + 1), source), source, settings)


def parse_job(text: str, source: str = "job", settings: Sequence[str] = ()) -> Resolution:
    """Check and resolve the job in a YAML text; other resources in the same text are passed over."""
    return resolve(_checked(with_settings(read_document(text, source), settings)))


def read_resolved_job(path: Path) -> MusicTrainingJob:
    """Read a job that was resolved before and handed to a stage as JSON.

    Raises:
        OSError: there is no reading the file now.
        JobError: it holds no job that works here.
    """
    return parse_resolved_job(path.read_bytes(), str(path))


def parse_resolved_job(text: bytes, source: str) -> MusicTrainingJob:
    """The job in such a JSON, which another version may have written.

    Fields that only a later one has are passed over; what an earlier one left open is derived.

    Raises:
        JobError: it is no job that works here; of several faults the first is told.
    """
    try:
        document = Document(json.loads(text), source, places={})
    except ValueError:
        raise JobError("this is not JSON", where=source, instead="name the file of a job that was resolved") from None
    try:
        return resolved_job(MusicTrainingJob.model_validate(document.value, extra="ignore"))
    except ValidationError as error:
        raise explain_fault(error.errors()[0], document) from None


def resolved_json(job: MusicTrainingJob) -> str:
    """A resolved job as JSON, which is also a job file: what is absent is left out."""
    return job.model_dump_json(by_alias=True, exclude_none=True, indent=2)


def stage_json(job: MusicTrainingJob) -> str:
    """The same as far as stages have to know it, and whoever sees what they leave may.

    Nothing of ``scheduling`` is in it: its variables may hold what is nobody else's business, and it decides where a
    job runs, not what comes out.
    """
    return job.model_dump_json(by_alias=True, exclude_none=True, exclude={"spec": {"scheduling"}}, indent=2)


def _checked(document: Document) -> MusicTrainingJob:
    faults = [*explain_missing_version(document), *explain_nothing(document)]
    try:
        job = MusicTrainingJob.model_validate(document.value, by_alias=True, by_name=False)
    except ValidationError as error:
        faults += [explain_fault(fault, document) for fault in error.errors() if fault["input"] is not None]
        raise InvalidJob(faults) from None
    if faults:
        raise InvalidJob(faults)
    return job
