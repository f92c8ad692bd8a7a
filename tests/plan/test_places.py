"""Where a job reads and writes: on one machine from the working directory, on a cluster where pods can keep it."""

from __future__ import annotations

from typing import Any

import pytest

from mtj_api import JobError, MusicTrainingJob, parse_job, walk
from mtj_api.spec import JobSpec
from mtj_operator.plan import absolute, on_cluster
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


@pytest.mark.parametrize(
    ("family", "written", "found"),
    [
        ("musicgen", "facebook/musicgen-small", "facebook/musicgen-small"),
        ("audiogen", "facebook/audiogen-medium", "facebook/audiogen-medium"),
        ("musicgen", "./facebook/musicgen-small", "/here/facebook/musicgen-small"),
        ("musicgen", "models/musicgen/small", "/here/models/musicgen/small"),
        ("musicgen", "s3://music/base/model", "s3://music/base/model"),
        ("symbolic", "out/model", "/here/out/model"),
    ],
)
def test_a_name_on_a_hub_is_no_place(family: str, written: str, found: str) -> None:
    job = parse_job(text(model={"family": family, "pretrained": written})).job
    model = absolute(job, "/here", "/home/me").spec.model
    assert model is not None
    assert model.pretrained == found


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


CLAIM = {"name": "music", "mountPath": "/music", "persistentVolumeClaim": {"claimName": "music"}}
READ_ONLY = {"name": "raw", "mountPath": "/music/raw", "persistentVolumeClaim": {"claimName": "r", "readOnly": True}}
SECRET = {"name": "keys", "mountPath": "/music/keys", "secret": "keys"}


def cluster_job(**spec: Any) -> MusicTrainingJob:
    """A job for a cluster that mounts these three volumes, with these parts of the spec besides."""
    volumes = {"podTemplate": {"volumes": [CLAIM, READ_ONLY, SECRET]}}
    return parse_job(
        text(**{"dataset": {"source": "s3://a/raw"}, "output": "s3://a/out", **spec}, scheduling=volumes)
    ).job


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("s3://bucket/music/", "s3://bucket/music"),
        ("/music", "/music"),
        ("/music/./a/", "/music/a"),
        ("file:///music/a%20b", "/music/a b"),
        ("/music/raw", "/music/raw"),
        ("/music/rawer", "/music/rawer"),
    ],
)
def test_a_place_of_a_cluster_is_on_s3_or_on_a_claim(written: str, found: str) -> None:
    assert on_cluster(cluster_job(dataset={"source": written})).spec.dataset.source == found


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        (
            {"dataset": {"source": "./music"}},
            (
                "spec.dataset.source: ./music is relative to a working directory, which pods do not share; write "
                "s3://bucket/prefix, or a path on a persistentVolumeClaim of scheduling.podTemplate.volumes"
            ),
        ),
        (
            {"output": "~/out"},
            (
                "spec.output: ~/out is relative to a working directory, which pods do not share; write "
                "s3://bucket/prefix, or a path on a persistentVolumeClaim of scheduling.podTemplate.volumes"
            ),
        ),
        (
            {"model": {"pretrained": "/models/a"}},
            (
                "spec.model.pretrained: /models/a lies on no volume that outlives a pod; write s3://bucket/prefix, or "
                "mount a persistentVolumeClaim there by scheduling.podTemplate.volumes"
            ),
        ),
        (
            {"output": "/music/keys/out"},
            (
                "spec.output: /music/keys/out lies on no volume that outlives a pod; write s3://bucket/prefix, or "
                "mount a persistentVolumeClaim there by scheduling.podTemplate.volumes"
            ),
        ),
        (
            {"output": "/music/../out"},
            (
                "spec.output: /music/../out lies on no volume that outlives a pod; write s3://bucket/prefix, or "
                "mount a persistentVolumeClaim there by scheduling.podTemplate.volumes"
            ),
        ),
        (
            {"checkpoint": {"url": "/music/raw/c"}},
            (
                "spec.checkpoint.url: /music/raw/c lies on the volume raw, which is mounted to be read only; "
                "name another place, or leave readOnly out of the volume"
            ),
        ),
        (
            {"dataset": {"source": "/music/a"}, "output": "/music/a/out"},
            (
                "spec.output: /music/a/out lies in dataset.source, so the next run would take what is written there "
                "for music; name a place outside of the source"
            ),
        ),
    ],
)
def test_a_place_that_no_pod_can_keep_is_refused(spec: dict[str, Any], sentence: str) -> None:
    with pytest.raises(JobError) as refused:
        on_cluster(cluster_job(**spec))
    assert str(refused.value) == sentence


def test_a_collection_needs_no_source_on_a_cluster() -> None:
    job = cluster_job(dataset={"importer": "bach-chorales"}, output="s3://a/out/")
    spec = on_cluster(job).spec
    assert (spec.dataset.source, spec.dataset.cache, spec.output) == (None, "s3://a/out/data", "s3://a/out")
    assert job.spec.output == "s3://a/out/"
