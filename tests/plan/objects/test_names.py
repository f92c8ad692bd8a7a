"""What things are called: host names that DNS takes, and never the same name for two things."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mtj_api.spec.reference import NAME_LENGTH
from mtj_operator.plan import STAGES
from mtj_operator.plan.objects import names
from support.arbitrary_jobs import names as job_names

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
"""A DNS label (RFC 1123)."""

stages = st.sampled_from(STAGES)
attempts = st.integers(1, 999)
LONGEST = "a" * NAME_LENGTH


@given(job=job_names, stage=stages, attempt=attempts, index=st.integers(0, 1023))
@example(job=LONGEST, stage="evaluate", attempt=999, index=1023)
def test_every_name_is_a_dns_label(job: str, stage: str, attempt: int, index: int) -> None:
    for name in (
        names.config_map(job),
        names.service(job),
        names.gang(job, stage),
        names.attempt(job, stage, attempt),
        names.host(job, stage, attempt, index),
    ):
        assert LABEL.fullmatch(name)


@given(job=job_names, stage=stages, attempt=attempts)
def test_pods_find_the_first_by_a_name_in_the_service(job: str, stage: str, attempt: int) -> None:
    host, service = names.first_host(job, stage, attempt).split(".")
    assert (host, service) == (names.host(job, stage, attempt, 0), names.service(job))


@given(one=st.tuples(job_names, stages, attempts), other=st.tuples(job_names, stages, attempts))
@example(one=("a", "train", 11), other=("a-train", "train", 1))
@example(one=("a-train-1", "train", 1), other=("a", "train", 1))
def test_two_attempts_never_have_the_same_name(one: tuple[str, str, int], other: tuple[str, str, int]) -> None:
    assert (names.attempt(*one) == names.attempt(*other)) == (one == other)


@pytest.mark.parametrize("stage", STAGES)
def test_a_job_may_be_named_as_another_jobs_objects_are(stage: str) -> None:
    """Its own are of other kinds, or are named otherwise."""
    job, other = "a", names.attempt("a", stage, 1)
    assert names.config_map(job) != names.config_map(other)
    assert names.service(job) != names.service(other)
    assert names.gang(job, stage) != names.gang(other, stage)
