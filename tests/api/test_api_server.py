"""The resource on a real API server: what kubectl does with it, its defaults, its status, and any job that there is."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from hypothesis import given, settings
from pydantic import ValidationError

from mtj_api import MusicTrainingJob, resolve
from mtj_api.contract import GROUP, KIND, PLURAL
from mtj_api.spec import JobSpec
from mtj_api.status import (
    FIGURES,
    SENTENCE_LENGTH,
    CheckpointStatus,
    Condition,
    JobStatus,
    OutputStatus,
    Progress,
    StageStatus,
)
from support.jobs import document
from support.kubectl import Kubectl
from support.kubernetes_api import ApiServer
from support.near_jobs import near_jobs
from support.rules import CASES
from support.verdict import Judge

SAMPLES = sorted((Path(__file__).parents[2] / "manifests/samples").glob("*.yaml"))
NOW = "2026-01-31T12:00:00Z"


@pytest.fixture
def kubectl(api_server: ApiServer, judge: Judge) -> Kubectl:
    """kubectl in an empty namespace of a server that knows the resource."""
    name = f"api-{uuid.uuid4().hex[:8]}"
    api_server.kubectl("create", "namespace", name)
    return api_server.kubectl.within(name)


def test_the_definition_is_small_enough_for_client_side_apply(api_server: ApiServer, judge: Judge) -> None:
    definition = api_server.kubectl.get("crd", f"{PLURAL}.{GROUP}")
    conditions = {condition["type"]: condition["status"] for condition in definition["status"]["conditions"]}
    assert (conditions["NamesAccepted"], conditions["Established"]) == ("True", "True")
    assert "kubectl.kubernetes.io/last-applied-configuration" in definition["metadata"]["annotations"]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_is_applied_and_to_apply_it_again_changes_nothing(sample: Path, kubectl: Kubectl) -> None:
    kubectl.apply(sample)
    (before,) = kubectl.list("mtj")
    kubectl.apply(sample)
    kubectl("apply", "--server-side", "--force-conflicts", f"--filename={sample}")
    (after,) = kubectl.list("mtj")
    assert after["spec"] == before["spec"]
    assert after["metadata"]["generation"] == 1


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_means_the_same_with_the_defaults_of_the_api_server(sample: Path, judge: Judge) -> None:
    (written,) = [job for job in yaml.safe_load_all(sample.read_text(encoding="utf-8")) if job["kind"] == KIND]
    assert meaning(judge.kept(written)) == meaning(written)


@pytest.mark.parametrize("spec", [right for _, right in CASES.values()], ids=CASES)
def test_a_job_means_the_same_with_the_defaults_of_the_api_server(spec: dict[str, Any], judge: Judge) -> None:
    kept = judge.kept(document(**spec))
    assert kept["spec"]["scheduling"]["retries"]["train"] == 5
    assert meaning(kept) == meaning(document(**spec))


def meaning(job: dict[str, Any]) -> JobSpec:
    """The resolved spec."""
    return resolve(MusicTrainingJob.model_validate({**job, "metadata": {"name": "a"}})).job.spec


@pytest.mark.slow
def test_python_and_the_api_server_agree_on_any_job(judge: Judge) -> None:
    verdicts: Counter[bool] = Counter()

    @settings(max_examples=400, deadline=None, derandomize=True)
    @given(job=near_jobs())
    def agree(job: dict[str, Any]) -> None:
        try:
            MusicTrainingJob.model_validate(job)
            right = True
        except ValidationError:
            right = False
        verdicts[right] += 1
        assert (judge.faults(job) == []) is right

    agree()
    assert min(verdicts[True], verdicts[False]) > 50


CONDITIONS: tuple[tuple[str, Literal["True", "Unknown"]], ...] = (("Succeeded", "Unknown"), ("Reconciling", "True"))

FULL = JobStatus(
    observed_generation=3,
    state="Running",
    stage="train",
    message="training",
    start_time=NOW,
    conditions=[
        Condition(
            type=name,
            status=status,
            reason="Training",
            message="training",
            last_transition_time=NOW,
            observed_generation=3,
        )
        for name, status in CONDITIONS
    ],
    stages=[
        StageStatus(name="prepare", state="Succeeded", attempt=1, start_time=NOW, completion_time=NOW),
        StageStatus(name="train", state="Running", attempt=2, retries=1, disruptions=0, start_time=NOW),
    ],
    progress=Progress(
        step=430, of=1000, percent="43%", loss=0.5234, tokens_per_second=1000.0, eta_seconds=60.0, updated=NOW
    ),
    checkpoint=CheckpointStatus(step=400, url="s3://music/models/a/checkpoints/400"),
    evaluation={"heldout.nll": 0.5},
    output=OutputStatus(report="s3://music/models/a/report.html"),
)


def test_a_status_is_kept_and_shown(kubectl: Kubectl) -> None:
    kubectl.apply(document(model={}))
    write_status(kubectl, FULL)
    assert JobStatus.model_validate(kubectl.get("mtj", "chorales")["status"]) == FULL
    kubectl("wait", "mtj/chorales", "--for=condition=Reconciling", "--timeout=5s")
    header, row = (line.split() for line in kubectl("get", "mtj").splitlines())
    assert header == ["NAME", "STATE", "STAGE", "PROGRESS", "LOSS", "AGE"]
    assert row[:5] == ["chorales", "Running", "train", "43%", "0.5234"]
    header, row = (line.split() for line in kubectl("get", "mtj", "-o", "wide").splitlines())
    assert (header[6:], row[6:]) == (["FAMILY", "OUTPUT", "MESSAGE"], ["symbolic", "./out", "training"])


def test_a_status_that_says_too_much_is_written_all_the_same(kubectl: Kubectl) -> None:
    kubectl.apply(document(model={}))
    long = JobStatus(
        message="x" * 9000,
        progress=Progress(loss=float("nan"), tokens_per_second=1234.5678),
        evaluation={f"figure{number}": float(number) for number in range(100)} | {"figure0": float("inf")},
        checkpoint=CheckpointStatus(url="s3://a/" + "ä" * 2000),
    )
    write_status(kubectl, long)
    kept = JobStatus.model_validate(kubectl.get("mtj", "chorales")["status"])
    assert kept.message == "x" * SENTENCE_LENGTH
    assert kept.progress == Progress(loss=None, tokens_per_second=1235.0)
    assert kept.evaluation == {f"figure{number}": float(number) for number in range(1, FIGURES + 1)}


def write_status(kubectl: Kubectl, status: JobStatus) -> None:
    patch = json.dumps({"status": status.model_dump(mode="json", by_alias=True)})
    kubectl("patch", "mtj", "chorales", "--subresource=status", "--type=merge", f"--patch={patch}")


def test_what_is_unknown_in_a_status_is_passed_over() -> None:
    assert JobStatus.model_validate({"state": "Running", "weather": "fine"}) == JobStatus(state="Running")
