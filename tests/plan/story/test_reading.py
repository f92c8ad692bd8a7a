"""What is taken from a resource: all that can be understood, whoever wrote it."""

from __future__ import annotations

from typing import Any

import pytest

from mtj_api import resolved_job
from mtj_api.status import JobStatus
from mtj_operator.plan.objects import stages_on_cluster
from mtj_operator.plan.story.reading import remembered, seconds_to_keep, stage_names, wanted
from support.sightings import resource, status, train
from support.stories import SETTINGS, spec


@pytest.mark.parametrize("asked", [spec(), {"dataset": {"source": "s3://music/raw"}, "output": "s3://music/out"}])
def test_the_names_of_the_stages_are_those_of_the_plan(asked: Any) -> None:
    job = wanted(resource(spec=asked))
    assert stage_names(job) == tuple(stage.name for stage in stages_on_cluster(resolved_job(job), SETTINGS).stages)


def test_a_status_is_read_as_it_was_written() -> None:
    written = status(train(retries=2), message="runs")
    assert remembered(resource(status=written)) == written


@pytest.mark.parametrize("text", ["", "{}", "null", "[]", "7", "no JSON", '{"stages": 7}'])
def test_what_is_no_status_is_as_good_as_none(text: str) -> None:
    assert remembered(resource(status=text)) == JobStatus()


def test_of_a_status_that_a_newer_operator_wrote_the_rest_is_understood() -> None:
    written = {"state": "Failed", "conditions": [{"kind": "new"}], "stage": "train", "plans": [1], "startTime": 4}
    assert remembered(resource(status=written)) == JobStatus(state="Failed", stage="train")


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ({"scheduling": {"ttlSecondsAfterFinished": 60}}, 60.0),
        ({"scheduling": {"ttlSecondsAfterFinished": 0}, "trainin": 7}, 0.0),
        ({"scheduling": {"ttlSecondsAfterFinished": -1}}, None),
        ({"scheduling": {"ttlSecondsAfterFinished": "60"}}, None),
        ({"scheduling": {"ttlSecondsAfterFinished": True}}, None),
        ({"scheduling": []}, None),
        ({}, None),
        ([], None),
        ("no JSON", None),
    ],
)
def test_how_long_a_job_is_kept_is_known_even_of_one_that_is_wrong(asked: Any, seconds: float | None) -> None:
    assert seconds_to_keep(resource(spec=asked)) == seconds
