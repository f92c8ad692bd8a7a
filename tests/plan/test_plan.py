"""What a job comes to as stages: golden files, of which a change is read as a change of what runs.

A new case is a folder in ``data`` with ``job.yaml`` and an empty ``plan.json``.
To make them anew after a change that is meant: ``MTJ_WRITE_GOLDEN=1 pytest tests/plan``.
"""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import pytest

from mtj_api import JobError, load_job
from mtj_operator.plan import STAGES, Gang, Plan, Resources, Site, Stage, plan
from mtj_operator.plan.stages import Nodes

DATA = Path(__file__).parent / "data"
CASES = sorted(path.parent for path in DATA.glob("*/plan.json"))
SITE = Site(python="python", job_file="/jobs/job.json", cores=8)
CLUSTER = Site(python="python", job_file="/job.json", nodes=Nodes(rank="RANK", first="FIRST", gang="GANG"))


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


@pytest.mark.parametrize(
    ("settings", "train"),
    [
        pytest.param(["nodes=1"], "--standalone --nproc-per-node 1", id="one node meets nobody"),
        pytest.param(
            ["nodes=4", "processesPerNode=2"],
            "--nnodes 4 --node-rank RANK --nproc-per-node 2 --master-addr FIRST --master-port 29400 --rdzv-id GANG",
            id="several nodes meet at the first",
        ),
        pytest.param(
            ["nodes=4", "engine=fsdp"],
            "--nnodes 4 --node-rank RANK --nproc-per-node 1 --master-addr FIRST --master-port 29400 --rdzv-id GANG",
            id="FSDP is PyTorch's own",
        ),
        pytest.param(
            ["nodes=4", "engine=deepspeed"],
            "--nnodes 4 --node-rank RANK --nproc-per-node 1 --master-addr FIRST --master-port 29400 --rdzv-id GANG",
            id="DeepSpeed is started by torchrun",
        ),
        pytest.param(
            ["nodes=4", "engine=deepspeed", "deepspeed.launcher=deepspeed"],
            "--launcher deepspeed --nnodes 4 --node-rank RANK --nproc-per-node 1 --master-addr FIRST "
            "--master-port 29400 --rdzv-id GANG",
            id="or by its own launcher",
        ),
        pytest.param(
            ["engine=deepspeed", "deepspeed.launcher=deepspeed"],
            "--launcher deepspeed --standalone --nproc-per-node 1",
            id="which one node alone can have too",
        ),
        pytest.param(
            ["nodes=4", "deepspeed.launcher=deepspeed"],
            "--nnodes 4 --node-rank RANK --nproc-per-node 1 --master-addr FIRST --master-port 29400 --rdzv-id GANG",
            id="but torchrun alone starts training without DeepSpeed",
        ),
    ],
)
def test_training_processes_of_all_nodes_meet(settings: list[str], train: str) -> None:
    job = load_job(DATA / "full/job.yaml", [f"spec.training.{setting}" for setting in settings]).job
    stage = plan(job, CLUSTER).stages[1]
    hang = "--hang-seconds 600 --stacks s3://music/models/full/train/stacks"
    launcher = f"python -m mtj_trainer.train.launch {train} {hang} -m mtj_trainer.train --job /job.json"
    assert stage.command == tuple(launcher.split())
    assert (stage.nodes, stage.gang) == (job.spec.training.nodes if job.spec.training else 0, Gang.WHOLE)


def test_nodes_that_prepare_join_the_first() -> None:
    job = load_job(DATA / "full/job.yaml", ["spec.dataset.workers={count: 5, nodes: 2}"]).job
    stage = plan(job, CLUSTER).stages[0]
    launcher = "mtj_trainer.prepare.launch --nodes 2 --node-rank RANK --head FIRST:6379"
    assert stage.command == tuple(f"python -m {launcher} -m mtj_trainer.prepare --job /job.json".split())
    assert (stage.nodes, stage.gang, stage.resources) == (2, Gang.HEADED, Resources(cpus=3, processes=3))


def test_one_machine_alone_runs_one_node_of_each_stage() -> None:
    settings = ["spec.training.nodes=4", "spec.dataset.workers.nodes=4"]
    several = plan(load_job(DATA / "full/job.yaml", settings).job, SITE)
    assert several == planned(DATA / "full")


def test_processes_have_one_thread_where_nobody_knows_the_cores() -> None:
    stages = plan(load_job(DATA / "full/job.yaml").job, CLUSTER).stages
    assert {stage.environment["OMP_NUM_THREADS"] for stage in stages} == {"1"}


def test_a_stage_may_have_cores_of_its_own() -> None:
    site = dataclasses.replace(CLUSTER, cores_of={"train": 6})
    train, evaluate = plan(load_job(DATA / "full/job.yaml", ["spec.training.processesPerNode=2"]).job, site).stages[1:3]
    assert [stage.environment["OMP_NUM_THREADS"] for stage in (train, evaluate)] == ["3", "1"]


@pytest.mark.parametrize(("port", "ports"), [(9640, (9640, 9641)), (0, ())])
def test_each_training_process_of_a_node_has_a_port_of_its_own(port: int, ports: tuple[int, ...]) -> None:
    settings = ["spec.training.processesPerNode=2", f"spec.monitoring.metricsPort={port}"]
    stages = plan(load_job(DATA / "full/job.yaml", settings).job, SITE).stages
    assert [stage.metrics_ports for stage in stages] == [(), ports, (), (), ()]


def test_a_stage_never_comes_before_what_it_needs() -> None:
    early = Stage("train", ("true",), {}, Resources(1, 1), needs=("prepare",))
    with pytest.raises(ValueError, match="train"):
        Plan((early,))
    with pytest.raises(ValueError, match="train"):
        Plan((dataclasses.replace(early, needs=()),) * 2)


def test_stages_are_named_in_the_order_in_which_they_run() -> None:
    assert tuple(stage.name for stage in planned(DATA / "full").stages) == STAGES
