"""Where a job reads and writes: relative paths start at the working directory, and nothing is written to the source."""

from __future__ import annotations

from typing import Any

import pytest

from mtj_api import JobError, parse_job, walk
from mtj_api.spec import JobSpec
from mtj_operator.plan import absolute
from mtj_operator.plan.places import PLACES, local_path
from support.jobs import text


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("music", "/here/music"),
        ("./music/", "/here/music"),
        ("../music", "/music"),
        ("/music", "/music"),
        ("~/music", "/home/me/music"),
        ("~music", "/here/~music"),
        ("file:///a%20b/c", "/a b/c"),
        ("s3://bucket/music/", "s3://bucket/music"),
    ],
)
def test_a_place_means_the_same_wherever_a_stage_runs(written: str, found: str) -> None:
    job = absolute(parse_job(text(dataset={"source": written})).job, "/here", "/home/me")
    assert job.spec.dataset.source == found


def test_every_place_of_a_job_is_made_absolute() -> None:
    job = parse_job(text(model={"pretrained": "m"}, checkpoint={"url": "c"}, output="o")).job
    spec = absolute(job, "/here", "/home/me").spec
    assert spec.model is not None
    assert [spec.dataset.source, spec.dataset.cache, spec.model.pretrained, spec.checkpoint.url, spec.output] == [
        "/here/music",
        "/here/o/data",
        "/here/m",
        "/here/c",
        "/here/o",
    ]
    assert job.spec.output == "o"


def test_every_field_that_holds_a_place_is_known() -> None:
    schema = JobSpec.model_json_schema()
    found = {
        field.path
        for field in walk.fields_of(JobSpec)
        if field.model is None and "s3://" in str(_schema_of(schema, field.path))
    }
    assert found == set(PLACES)


def _schema_of(schema: dict[str, Any], path: tuple[str, ...]) -> Any:
    node: Any = schema
    for name in path:
        node = node.get("items", node)
        options = node.get("anyOf", [node])
        node = next((o for o in options if "$ref" in o), node)
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rpartition("/")[2]]
        if name == "[]":
            continue
        node = node["properties"][name]
    return {key: value for key, value in node.items() if key != "$ref"}


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"output": "./music/out"}, "spec.output"),
        ({"output": "music"}, "spec.output"),
        ({"dataset": {"source": "."}, "output": "out"}, "spec.output"),
        ({"dataset": {"source": "/"}, "output": "out"}, "spec.output"),
        ({"dataset": {"source": "music", "cache": "music/cache"}}, "spec.dataset.cache"),
        ({"checkpoint": {"url": "file:///here/music/c"}}, "spec.checkpoint.url"),
        ({"dataset": {"source": "s3://a/b"}, "output": "s3://a/b/c"}, "spec.output"),
    ],
)
def test_nothing_is_written_where_the_music_is_read(spec: dict[str, Any], field: str) -> None:
    with pytest.raises(JobError) as refused:
        absolute(parse_job(text(**spec)).job, "/here", "/home/me")
    assert refused.value.where == field
    assert "lies in dataset.source, so the next run would take what is written there for music" in str(refused.value)


@pytest.mark.parametrize(
    "spec",
    [
        {"dataset": {"source": "music"}, "output": "music-out"},
        {"dataset": {"source": "out/music"}, "output": "out"},
        {"dataset": {"source": "s3://a/b"}, "output": "s3://a/bc"},
        {"dataset": {"importer": "bach-chorales"}, "output": "."},
    ],
)
def test_places_beside_each_other_are_fine(spec: dict[str, Any]) -> None:
    absolute(parse_job(text(**spec)).job, "/here", "/home/me")


@pytest.mark.parametrize(("url", "path"), [("/a", "/a"), ("file:///a%20b", "/a b"), ("s3://a/b", None)])
def test_only_a_place_on_this_machine_has_a_path(url: str, path: str | None) -> None:
    assert local_path(url) == path
