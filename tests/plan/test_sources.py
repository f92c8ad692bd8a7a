"""What a job refers to, and the job once that is known: places instead of names."""

from __future__ import annotations

from typing import Any

import pytest

from mtj_api import JobError, MusicTrainingJob, parse_job, read_resolved_job, resolved_json
from mtj_operator.plan.sources import Reference, names_in, references, wanted_stages, with_sources
from support.jobs import text

DATA = {"from": {"job": "songs"}}
MODEL = {"from": {"job": "base"}}
CODEC = {"family": "musicgen", "codec": {"from": {"job": "codec"}}}
SOURCES = {"songs": "/out/songs", "base": "s3://music/base/", "codec": "s3://music/codec"}


def job(**spec: Any) -> MusicTrainingJob:
    return parse_job(text(**spec)).job


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ({}, []),
        ({"model": {"pretrained": "./base"}}, []),
        ({"dataset": DATA}, [("spec.dataset.from", "songs", "prepare")]),
        ({"model": MODEL}, [("spec.model.from", "base", "publish")]),
        ({"model": CODEC}, [("spec.model.codec.from", "codec", "publish")]),
        (
            {"dataset": DATA, "model": CODEC},
            [("spec.dataset.from", "songs", "prepare"), ("spec.model.codec.from", "codec", "publish")],
        ),
    ],
)
def test_every_field_that_names_a_job_is_known(spec: dict[str, Any], found: list[tuple[str, str, Any]]) -> None:
    assert references(job(**spec)) == tuple(Reference(*one) for one in found)


def test_of_a_job_that_is_named_twice_the_last_result_is_wanted() -> None:
    both = job(dataset={"from": {"job": "codec"}}, model=CODEC)
    assert wanted_stages(references(both)) == {"codec": "publish"}
    assert wanted_stages(references(both)[::-1]) == {"codec": "publish"}


@pytest.mark.parametrize(
    ("spec", "field"),
    [({"dataset": {"from": {"job": "chorales"}}}, "dataset"), ({"model": {"from": {"job": "chorales"}}}, "model")],
)
def test_a_job_that_names_itself_is_refused(spec: dict[str, Any], field: str) -> None:
    with pytest.raises(JobError) as refused:
        references(job(**spec))
    assert str(refused.value) == f"spec.{field}.from.job: the job waits for itself; name the job that makes it"


def test_places_take_the_turn_of_names() -> None:
    named = job(dataset=DATA, model=CODEC)
    spec = with_sources(named, SOURCES).spec
    assert spec.model is not None
    assert spec.model.codec is not None
    assert (spec.dataset.prepared, spec.model.codec.url) == ("/out/songs", "s3://music/codec/model")
    assert references(with_sources(named, SOURCES)) == ()
    assert len(references(named)) == 2


def test_a_job_that_is_not_known_stays_a_name() -> None:
    placed = with_sources(job(dataset=DATA, model=MODEL), {"base": SOURCES["base"]})
    assert placed.spec.model is not None
    assert placed.spec.model.pretrained == "s3://music/base/model"
    assert [reference.job for reference in references(placed)] == ["songs"]


@pytest.mark.parametrize("spec", [{"dataset": DATA}, {"model": MODEL}, {"model": CODEC}])
def test_what_is_placed_is_a_job_that_stages_can_read(spec: dict[str, Any], tmp_path: Any) -> None:
    placed = with_sources(job(**spec), SOURCES)
    (tmp_path / "job.json").write_text(resolved_json(placed))
    assert read_resolved_job(tmp_path / "job.json").spec == placed.spec


def test_it_makes_no_difference_whether_a_job_is_resolved_before_or_after() -> None:
    first = parse_job(text(model=MODEL)).job
    second = parse_job(text(model={"pretrained": "s3://music/base/model"})).job
    assert with_sources(first, SOURCES).spec == second.spec


def test_a_job_that_would_write_over_its_source_is_refused() -> None:
    with pytest.raises(JobError) as refused:
        with_sources(job(model=MODEL, output="s3://music/base"), SOURCES)
    assert str(refused.value) == (
        "spec.output: s3://music/base is the output of job base too, and each would overwrite what the other writes; "
        "name another place"
    )


@pytest.mark.parametrize(
    ("spec", "names"),
    [
        ("", ()),
        ("[]", ()),
        ('"from"', ()),
        ('{"dataset":{"from":"songs"},"model":[{"from":{"job":"a"}}]}', ()),
        ('{"dataset":{"from":{"job":3}}}', ()),
        ('{"dataset":{"from":{"job":"a"}},"model":{"from":{"job":"b"}}}', ("a", "b")),
        ('{"dataset":{"from":{"job":"a"}},"model":{"codec":{"from":{"job":"a"}}}}', ("a",)),
    ],
)
def test_names_are_read_of_whatever_a_spec_holds(spec: str, names: tuple[str, ...]) -> None:
    assert names_in(spec) == names
