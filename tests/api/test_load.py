"""Reading a job file: what YAML means, what the command line changes, and what a stage gets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mtj_api import (
    JobError,
    MusicTrainingJob,
    contract,
    load_job,
    parse_job,
    parse_resolved_job,
    read_resolved_job,
    resolved_job,
    resolved_json,
    stage_json,
)
from mtj_api.document import read_document
from support.jobs import SMALLEST, WITH_MODEL

SAMPLES = sorted((Path(__file__).parents[2] / "manifests/samples").glob("*.yaml"))


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1000", 1000),
        ("1_000", 1000),
        ("0x10", 16),
        ("0o10", 8),
        ("1e3", 1000),
        ("1000.0", 1000),
        ("1.5e3", 1500),
        ("1e-3", 0.001),
        (".5", 0.5),
        ("-2.5", -2.5),
        (".inf", float("inf")),
        ("2024-01-31", "2024-01-31"),
        ("1:30", "1:30"),
        ("4/4", "4/4"),
        ("true", True),
        ("'1'", "1"),
        ("", None),
        ("~", None),
        ("{a: [1, b]}", {"a": [1, "b"]}),
    ],
)
def test_a_scalar_means_what_it_means_to_kubernetes(written: str, value: Any) -> None:
    found = read_document(f"{SMALLEST}  x: {written}", "job.yaml").value["spec"]["x"]
    assert found == value
    assert type(found) is type(value)


def test_other_resources_in_the_file_are_passed_over() -> None:
    text = f"kind: Namespace\nmetadata: {{name: music}}\n---\n{SMALLEST}---\n# nothing\n---\nkind: Secret\n"
    assert parse_job(text).job.metadata.name == "chorales"


def test_a_file_may_be_json_and_may_repeat_itself_with_anchors() -> None:
    shared = SMALLEST.replace("{source: ./music}", "{source: &place ./music}").replace("./out", "*place")
    assert parse_job(shared).job.spec.output == "./music"
    assert parse_job(resolved_json(parse_job(SMALLEST).job)).job == parse_job(SMALLEST).job


def test_aliases_that_multiply_are_refused() -> None:
    lines = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9) if n else 'x'}]" for n in range(9)]
    with pytest.raises(JobError, match="more than 100,000 values"):
        parse_job(SMALLEST + "\n".join(f"  {line}" for line in lines))


def test_labels_and_the_like_are_kubernetes_own() -> None:
    job = parse_job(SMALLEST.replace("{name: chorales}", "{name: a, namespace: b, labels: {c: d}}")).job
    assert job.metadata.model_extra == {"namespace": "b", "labels": {"c": "d"}}


def test_status_is_ignored() -> None:
    assert parse_job(SMALLEST + "status: {stage: train}").job.spec == parse_job(SMALLEST).job.spec


@pytest.mark.parametrize(
    ("settings", "path", "value"),
    [
        (["spec.training.steps=7"], "training.steps", 7),
        (["spec.training.steps=7", "spec.training.steps=8"], "training.steps", 8),
        (["spec.training.optimizer.learningRate=1e-4"], "training.optimizer.learning_rate", 1e-4),
        (["spec.model.conditioning=[key]"], "model.conditioning", ["key"]),
        (["spec.model=null"], "model", None),
        (["spec.output=s3://music/out=1"], "output", "s3://music/out=1"),
        (
            ["spec.evaluation={requests: [{bars: 4}]}", "spec.evaluation.requests[0].bars=5"],
            "evaluation.requests.0.bars",
            5,
        ),
    ],
)
def test_a_setting_takes_the_place_of_what_the_file_says(settings: list[str], path: str, value: Any) -> None:
    found: Any = parse_job(WITH_MODEL, settings=settings).job.spec
    for part in path.split("."):
        found = found[int(part)] if part.isdecimal() else getattr(found, part)
    assert found == value


def test_a_stage_reads_the_same_job_that_was_resolved(tmp_path: Path) -> None:
    for text in (SMALLEST, WITH_MODEL, SMALLEST + "  model: {pretrained: ./m}"):
        job = parse_job(text).job
        for name, written in (("short", resolved_json(job)), ("full", job.model_dump_json(by_alias=True))):
            path = tmp_path / name
            path.write_text(written, encoding="utf-8")
            assert read_resolved_job(path).spec == job.spec


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_reading_a_resolved_job_changes_nothing_of_it(sample: Path) -> None:
    written = stage_json(load_job(sample).job)
    again = parse_resolved_job(written.encode(), "job.json")
    assert stage_json(again) == written
    assert resolved_job(again) == again


def test_a_job_that_another_version_resolved_is_read() -> None:
    job = parse_job(WITH_MODEL).job
    written = json.loads(stage_json(job))
    del written["spec"]["training"]["minNodes"], written["spec"]["dataset"]["midi"]["stepsPerBeat"]
    written["spec"]["newPart"] = {}
    written["spec"]["evaluation"]["requests"][0]["newWish"] = 1
    assert parse_resolved_job(json.dumps(written).encode(), "job.json").spec == job.spec


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"{", "job.json: this is not JSON; name the file of a job that was resolved"),
        (b"\xff", "job.json: this is not JSON; name the file of a job that was resolved"),
        (b"[]", "job.json: [] is not a group of fields; write fields in it, such as"),
        (b'{"metadata": {"name": "a"}, "spec": {"output": 7}}', "job.json: spec.dataset: this field is missing; add"),
    ],
)
def test_what_is_no_resolved_job_gets_a_sentence(text: bytes, sentence: str) -> None:
    with pytest.raises(JobError) as refused:
        parse_resolved_job(text, "job.json")
    assert str(refused.value).startswith(sentence)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot read the job file (No such file or directory); name a file with a MusicTrainingJob"),
        (b"\xff\xfe\x00", "the job file is not text; write it as YAML in UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    path = tmp_path / "job.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(JobError) as refused:
        load_job(path)
    assert str(refused.value) == f"{path}: {sentence}"


def test_the_contract_names_the_resource_as_the_models_do() -> None:
    job = MusicTrainingJob.model_validate(
        {"metadata": {"name": "a"}, "spec": {"output": "o", "dataset": {"source": "m"}}}
    )
    assert (job.api_version, job.kind) == (f"{contract.GROUP}/{contract.VERSION}", contract.KIND)
