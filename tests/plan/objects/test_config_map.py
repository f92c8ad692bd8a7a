"""The ConfigMap of a job: the same bytes for the same job, whatever is decided about its pods meanwhile."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings

from mtj_api import MusicTrainingJob, parse_job
from mtj_api.crd import custom_resource_definition
from mtj_api.spec import Metadata
from mtj_operator.plan.objects import Object, Owner, children, stages_on_cluster
from mtj_operator.plan.settings import ClusterSettings
from support.arbitrary_jobs import jobs
from support.jobs import text

SETTINGS = ClusterSettings(trainer_image="trainer:1")
MUSIC: dict[str, Any] = {"dataset": {"source": "s3://music/raw"}, "output": "s3://music/out"}

LARGEST_BYTES = 1 << 20
"""What the API server takes of a ConfigMap."""


def config_map(job: MusicTrainingJob, attempt: int = 1, settings: ClusterSettings = SETTINGS) -> Object:
    stage = stages_on_cluster(job, settings).stages[0]
    return children(job, Owner("music", job.metadata.name, "1-2-3"), stage, attempt, settings)[0].object


def written(**spec: Any) -> Object:
    return config_map(parse_job(text(**MUSIC, **spec)).job)


def test_it_is_a_job_file_without_what_is_the_clusters() -> None:
    (found,) = written(model={}, scheduling={"queue": "music"})["data"].values()
    assert "scheduling" not in json.loads(found)["spec"]
    assert parse_job(found).job == parse_job(text(**MUSIC, model={})).job


def test_it_says_only_the_name_of_who_the_job_is() -> None:
    job = parse_job(text(**MUSIC)).job
    again = job.model_copy(deep=True)
    again.metadata = Metadata.model_validate({"name": "chorales", "resourceVersion": "7", "labels": {"a": "b"}})
    assert config_map(again) == config_map(job)


def test_places_are_as_all_pods_have_them() -> None:
    volume = {"name": "music", "mountPath": "/music", "persistentVolumeClaim": {"claimName": "music"}}
    job = parse_job(
        text(
            dataset={"source": "file:///music/old%20songs"},
            output="/music/./out/",
            scheduling={"podTemplate": {"volumes": [volume]}},
        )
    ).job
    spec = json.loads(config_map(job)["data"]["job.json"])["spec"]
    assert (spec["dataset"]["source"], spec["output"]) == ("/music/old songs", "/music/out")


@pytest.mark.parametrize(
    "scheduling",
    [{"suspend": True}, {"image": "trainer:2"}, {"retries": {"train": 7}}, {"resources": {"train": {"cpu": 2}}}],
    ids=str,
)
def test_it_stays_the_same_when_scheduling_changes(scheduling: dict[str, Any]) -> None:
    assert written(scheduling=scheduling) == written()


@settings(max_examples=30, deadline=None)
@given(job=jobs())
def test_equal_jobs_have_equal_bytes(job: MusicTrainingJob) -> None:
    bare = job.model_copy(deep=True)
    bare.metadata.name, bare.spec.scheduling = "chorales", type(job.spec.scheduling)()
    assert config_map(bare) == config_map(bare.model_copy(deep=True), attempt=7)


def test_no_job_is_too_large_for_it() -> None:
    schema = custom_resource_definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    spec = schema["properties"]["spec"]
    parts = {name: part for name, part in spec["properties"].items() if name != "scheduling"}
    assert largest({**spec, "properties": parts}) < LARGEST_BYTES // 2


def largest(schema: dict[str, Any], indent: int = 0) -> int:
    """Bytes that a value of this schema has as JSON, at most; every text and list has its bounds."""
    line = indent + 2
    if schema["type"] == "object":
        fields = schema["properties"].items()
        return 2 + line + sum(line + len(f'"{name}": ,') + largest(field, line) for name, field in fields)
    if schema["type"] == "array":
        longest = len(schema["items"]["enum"]) if "enum" in schema["items"] else schema["maxItems"]
        return int(2 + line + longest * (line + 1 + largest(schema["items"], line)))
    if schema["type"] == "string":
        return 2 + 6 * longest_text(schema)  # a character as \u0000
    return 24  # the longest number


def longest_text(schema: dict[str, Any]) -> int:
    if "enum" in schema:
        return max(map(len, schema["enum"]))
    if "maxLength" in schema:
        return int(schema["maxLength"])
    pattern: str = schema["pattern"]
    assert not set("*+{") & set(pattern), "only a pattern that repeats nothing is as good as a bound"
    return len(pattern)
