"""What Prometheus is told of each job."""

from __future__ import annotations

from mtj_api.status import JobStatus, StageStatus
from mtj_operator.control.metrics import Metrics
from mtj_operator.control.snapshots import Key

CHORALES, MOTETS = Key("music", "chorales"), Key("choir", "motets")


def series(metrics: Metrics, prefix: str = "mtj_job_") -> dict[tuple[str, ...], float]:
    """Values by name and labels' values, without zeros."""
    samples = [sample for family in metrics.registry.collect() for sample in family.samples]
    return {(one.name, *one.labels.values()): one.value for one in samples if one.name.startswith(prefix) and one.value}


def test_each_job_is_told_of_until_it_is_gone() -> None:
    metrics = Metrics()
    metrics.jobs.note(CHORALES, JobStatus(state="Running"))
    rows = [StageStatus(name="prepare", retries=1), StageStatus(name="train", retries=2, disruptions=4)]
    metrics.jobs.note(MOTETS, JobStatus(state="Failed", completion_time="1970-01-01T00:01:00Z", stages=rows))
    failed = {
        ("mtj_job_state", "choir", "motets", "Failed"): 1.0,
        ("mtj_job_completion_timestamp_seconds", "choir", "motets"): 60.0,
        ("mtj_job_retries", "choir", "motets"): 3.0,
        ("mtj_job_disruptions", "choir", "motets"): 4.0,
    }
    assert series(metrics) == {("mtj_job_state", "music", "chorales", "Running"): 1.0, **failed}
    metrics.jobs.forget(CHORALES)
    metrics.jobs.forget(CHORALES)
    assert series(metrics) == failed


def test_a_job_is_in_one_state_at_a_time() -> None:
    metrics = Metrics()
    for state in ("Pending", "Running", "Succeeded"):
        metrics.jobs.note(CHORALES, JobStatus.model_validate({"state": state}))
    assert series(metrics, "mtj_job_state") == {("mtj_job_state", "music", "chorales", "Succeeded"): 1.0}
    assert series(metrics, "mtj_operator_jobs") == {("mtj_operator_jobs", "Succeeded"): 1.0}
