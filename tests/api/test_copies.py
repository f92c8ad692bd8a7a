"""A deep copy of a job is equal to it and shares nothing with it that can change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hypothesis import HealthCheck, given, settings
from pydantic import BaseModel

from mtj_api import MusicTrainingJob
from support.arbitrary_jobs import jobs

patient = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
"""A whole job takes long to draw on a machine that has much else to do."""


@patient
@given(jobs())
def test_a_copy_is_equal_and_its_own(job: MusicTrainingJob) -> None:
    copy = job.model_copy(deep=True)
    assert copy == job
    assert not {id(part) for part in mutable_parts(copy)} & {id(part) for part in mutable_parts(job)}


@patient
@given(jobs())
def test_a_copy_knows_which_fields_were_given(job: MusicTrainingJob) -> None:
    copy = job.model_copy(deep=True)
    assert copy.model_dump(exclude_unset=True) == job.model_dump(exclude_unset=True)


def mutable_parts(value: Any) -> Iterator[Any]:
    if isinstance(value, BaseModel):
        yield value
        for part in value.__dict__.values():
            yield from mutable_parts(part)
    elif isinstance(value, list | dict):
        yield value
        for part in value.values() if isinstance(value, dict) else value:
            yield from mutable_parts(part)
