"""What a job comes to as stages: golden files, of which a change is read as a change of what runs.

To make them anew after a change that is meant: ``MTJ_WRITE_GOLDEN=1 pytest tests/plan``.
"""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import pytest

from mtj_api import JobError, load_job
from mtj_operator.plan import STAGES, Plan, Resources, Site, Stage, plan

DATA = Path(__file__).parent / "data"
CASES = sorted(path.parent for path in DATA.glob("*/job.yaml"))
SITE = Site(python="python", job_file="/jobs/job.json", cores=8)


def planned(case: Path) -> Plan:
    return plan(load_job(case / "job.yaml").job, SITE)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_plan_of_a_job_is_the_golden_one(case: Path) -> None:
    found = json.dumps(dataclasses.asdict(planned(case)), indent=2) + "\n"
    golden = case / "plan.json"
    if os.environ.get("MTJ_WRITE_GOLDEN"):
        golden.write_text(found, encoding="utf-8")
    assert found == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("until", "names"),
    [
        ("prepare", ["prepare"]),
        ("train", ["prepare", "train"]),
        ("evaluate", ["prepare", "train", "evaluate"]),
        ("report", ["prepare", "train", "evaluate", "report"]),
        ("publish", list(STAGES)),
    ],
)
def test_a_plan_up_to_a_stage_has_all_that_the_stage_needs(until: str, names: list[str]) -> None:
    assert [stage.name for stage in planned(DATA / "full").until(until).stages] == names


def test_a_stage_that_the_job_does_not_have_is_refused() -> None:
    with pytest.raises(JobError) as refused:
        planned(DATA / "data-only").until("train")
    assert str(refused.value) == "--until: this job has no stage train; name one of prepare, report"


@pytest.mark.parametrize(("cores", "processes", "threads"), [(8, 1, 8), (8, 2, 4), (8, 3, 2), (2, 4, 1), (1, 1, 1)])
def test_training_processes_share_the_cores(cores: int, processes: int, threads: int) -> None:
    job = load_job(DATA / "full/job.yaml", [f"spec.training.processesPerNode={processes}"]).job
    train = plan(job, dataclasses.replace(SITE, cores=cores)).stages[1]
    assert train.environment["OMP_NUM_THREADS"] == str(threads)
    assert train.resources == Resources(cpus=processes * threads, processes=processes)


def test_a_stage_never_comes_before_what_it_needs() -> None:
    early = Stage("train", ("true",), {}, Resources(1, 1), needs=("prepare",))
    with pytest.raises(ValueError, match="train"):
        Plan((early,))
    with pytest.raises(ValueError, match="train"):
        Plan((dataclasses.replace(early, needs=()),) * 2)


def test_stages_are_named_in_the_order_in_which_they_run() -> None:
    assert tuple(stage.name for stage in planned(DATA / "full").stages) == STAGES
