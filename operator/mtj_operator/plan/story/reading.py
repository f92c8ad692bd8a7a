"""What a resource says: its spec as a job, or why that cannot work in one sentence; its status as it was written."""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError

from mtj_api import JobError, MusicTrainingJob
from mtj_api.document import Document
from mtj_api.faults import explain_fault
from mtj_api.status import JobStatus
from mtj_operator.plan.observed import Resource
from mtj_operator.plan.stages import STAGES


def wanted(resource: Resource) -> MusicTrainingJob:
    """The job as written.

    Fields that are unknown here are passed over. They are no mistakes, which the API server would have removed: an
    upgrade brings the definition of the resource first, whose new fields may have defaults in jobs that run.

    Raises:
        JobError: it is wrong; of several faults the first is told.
    """
    try:
        spec = json.loads(resource.spec)
    except ValueError:
        spec = None
    document = Document({"metadata": {"name": resource.name}, "spec": spec}, source="", places={})
    try:
        return MusicTrainingJob.model_validate(document.value, by_alias=True, by_name=False, extra="ignore")
    except ValidationError as error:
        fault = explain_fault(error.errors()[0], document)
        raise JobError(fault.what, where=fault.where.removeprefix(": "), instead=fault.instead) from None


def stage_names(job: MusicTrainingJob) -> tuple[str, ...]:
    """The names of the stages of its plan, for which it need not be resolved."""
    return STAGES if job.spec.model is not None else ("prepare", "report")


def remembered(resource: Resource) -> JobStatus:
    """The status as it was written. Parts of it that say nothing here, as a newer operator may write, are left out."""
    try:
        return JobStatus.model_validate_json(resource.status)
    except ValidationError as error:
        strange = {fault["loc"][0] for fault in error.errors() if fault["loc"]}
    try:
        found = json.loads(resource.status)
        return JobStatus.model_validate({name: part for name, part in found.items() if name not in strange})
    except (ValueError, AttributeError):
        return JobStatus()


def seconds_to_keep(resource: Resource) -> float | None:
    """How long a job outlives its end, even one that is wrong; ``None`` for ever."""
    try:
        spec: Any = json.loads(resource.spec)
        seconds = spec["scheduling"]["ttlSecondsAfterFinished"]
    except (ValueError, KeyError, TypeError, IndexError):
        return None
    return float(seconds) if type(seconds) is int and seconds >= 0 else None
