"""The stages of a job, in order: what each runs, on how many nodes, with what, and what must be done before it.

Invariant: one description for every place. A ``Site`` says what differs: on one machine a stage has one node and
all cores, on a cluster as many nodes as the job asks for, which find each other by what ``Nodes`` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from mtj_api import JobError, MusicTrainingJob
from mtj_api.contract import RAY_PORT, RENDEZVOUS_PORT
from mtj_api.spec import Monitoring, Training

STAGES = ("prepare", "train", "evaluate", "report", "publish")
"""Every stage that there is, in the order in which they run. A job without a model has prepare and report."""

WAIT = "wait"
"""Comes first on one machine, in a job that takes something from others; on a cluster the operator waits."""


class Gang(StrEnum):
    """What the nodes of a stage are to each other, and so what the loss of one of them means."""

    WHOLE = "whole"
    """They work in step: all are needed from the first moment, and when one is lost all begin anew."""
    HEADED = "headed"
    """The first does the stage, and its end is the stage's. The others help: they may come late, go and come back."""


@dataclass(frozen=True)
class Resources:
    """What a stage uses on each node.

    Attributes:
        cpus: cores that it can keep busy.
        processes: how many processes share them.
    """

    cpus: int
    processes: int


@dataclass(frozen=True)
class Stage:
    """One step of a job. It may be run again at any time, and does only what is missing.

    Attributes:
        name: one of ``STAGES``, or ``WAIT``.
        command: program and arguments, the same on every node.
        environment: variables that it needs beside those that it inherits.
        resources: what it uses on each node.
        needs: names of the stages whose results it reads.
        nodes: on how many nodes it runs at once.
        gang: what these are to each other.
        metrics_ports: where the processes of a node tell how they fare, by local rank; empty where none does.
        shrinks: whether it needs less memory once it is told that it ran out of it.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    resources: Resources
    needs: tuple[str, ...]
    nodes: int = 1
    gang: Gang = Gang.WHOLE
    metrics_ports: tuple[int, ...] = ()
    shrinks: bool = False


@dataclass(frozen=True)
class Plan:
    """Stages in an order in which each comes after all that it needs."""

    stages: tuple[Stage, ...]

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for stage in self.stages:
            if stage.name in seen or not seen.issuperset(stage.needs):
                raise ValueError(f"stage {stage.name} is there twice, or comes before one of {stage.needs}")
            seen.add(stage.name)

    def until(self, name: str) -> Plan:
        """The part of the plan that makes the results of the stage ``name``.

        Raises:
            JobError: the plan has no such stage.
        """
        if name not in {stage.name for stage in self.stages}:
            names = ", ".join(stage.name for stage in self.stages)
            raise JobError(f"this job has no stage {name}", where="--until", instead=f"name one of {names}")
        wanted = {name}
        for stage in reversed(self.stages):
            if stage.name in wanted:
                wanted.update(stage.needs)
        return Plan(tuple(stage for stage in self.stages if stage.name in wanted))


@dataclass(frozen=True)
class Nodes:
    """How the nodes of a stage know themselves and each other: words that become theirs where a command is run.

    Attributes:
        rank: a node's number among them, from 0.
        first: the host name of number 0.
        gang: a name that they share with no other attempt at any stage.
    """

    rank: str
    first: str
    gang: str


@dataclass(frozen=True)
class Site:
    """Facts of the place where the stages run.

    Attributes:
        python: the interpreter that has ``mtj_trainer``.
        job_file: where a stage finds the resolved job as JSON.
        cores: processor cores of a node that any stage may use; ``None`` where that is not known.
        cores_of: the same for single stages.
        nodes: how several nodes find each other; ``None`` where there is one machine alone.
        waits: whether the stages themselves wait for other jobs.
    """

    python: str
    job_file: str
    cores: int | None = None
    cores_of: Mapping[str, int] = field(default_factory=dict)
    nodes: Nodes | None = None
    waits: bool = False


def plan(job: MusicTrainingJob, site: Site, nodes: int | None = None) -> Plan:
    """The stages of a resolved job.

    Args:
        job: the job.
        site: where they run.
        nodes: on how many nodes it trains, if these are fewer than the job asks for.

    The threads of each process are its share of the cores: torch's own choice, all cores for every process, makes
    two processes slower than one. Where the cores are not known each process has one thread.
    """
    first = (*((_stage(WAIT, site),) if site.waits else ()), _prepare(job, site))
    if job.spec.model is None or job.spec.training is None:
        return Plan((*first, _stage("report", site, needs=("prepare",))))
    return Plan(
        (
            *first,
            _train(job.spec.training, nodes or job.spec.training.nodes, job.spec.output, job.spec.monitoring, site),
            _stage("evaluate", site, needs=("prepare", "train"), threads=_cores(site, "evaluate") or 1),
            _stage("report", site, needs=("prepare", "train", "evaluate")),
            _stage("publish", site, needs=("train", "report")),
        )
    )


def _prepare(job: MusicTrainingJob, site: Site) -> Stage:
    """Ray where there are several nodes to join; on one it is started by the stage itself, if at all."""
    workers = job.spec.dataset.workers
    nodes = workers.nodes if site.nodes else 1
    cores = _cores(site, "prepare")
    share = -(-workers.count // nodes)
    launcher: tuple[str, ...] = ()
    if site.nodes and nodes > 1:
        ranks = ("--nodes", str(nodes), "--node-rank", site.nodes.rank)
        launcher = ("-m", "mtj_trainer.prepare.launch", *ranks, "--head", f"{site.nodes.first}:{RAY_PORT}")
    return _stage(
        "prepare",
        site,
        needs=(WAIT,) if site.waits else (),
        launcher=launcher,
        processes=share if cores is None else min(share, cores),
        nodes=nodes,
        gang=Gang.HEADED,
    )


def _train(training: Training, nodes: int, output: str, monitoring: Monitoring, site: Site) -> Stage:
    metrics_port = monitoring.metrics_port
    hang = ("--hang-seconds", str(training.hang_seconds), "--stacks", f"{output}/train/stacks")
    processes = training.processes_per_node
    nodes = nodes if site.nodes else 1
    return _stage(
        "train",
        site,
        needs=("prepare",),
        launcher=("-m", "mtj_trainer.train.launch", *_rendezvous(training, nodes, site), *hang),
        processes=processes,
        threads=max(1, (_cores(site, "train") or 1) // processes),
        nodes=nodes,
        metrics_ports=tuple(range(metrics_port, metrics_port + processes)) if metrics_port else (),
        shrinks=training.batch.auto,
    )


def _rendezvous(training: Training, nodes: int, site: Site) -> tuple[str, ...]:
    """What tells the training processes of all nodes from each other, and where they meet."""
    by_deepspeed = training.engine == "deepspeed" and training.deepspeed.launcher == "deepspeed"
    launcher = ("--launcher", "deepspeed") if by_deepspeed else ()
    processes = ("--nproc-per-node", str(training.processes_per_node))
    if site.nodes is None or nodes == 1:
        return (*launcher, "--standalone", *processes)
    gang = (*launcher, "--nnodes", str(nodes), "--node-rank", site.nodes.rank, *processes)
    place = ("--master-addr", site.nodes.first, "--master-port", str(RENDEZVOUS_PORT))
    return (*gang, *place, "--rdzv-id", site.nodes.gang)


def _cores(site: Site, stage: str) -> int | None:
    return site.cores_of.get(stage, site.cores)


def _stage(
    name: str,
    site: Site,
    *,
    needs: tuple[str, ...] = (),
    launcher: tuple[str, ...] = (),
    processes: int = 1,
    threads: int = 1,
    nodes: int = 1,
    gang: Gang = Gang.WHOLE,
    metrics_ports: tuple[int, ...] = (),
    shrinks: bool = False,
) -> Stage:
    return Stage(
        name=name,
        command=(site.python, *launcher, "-m", f"mtj_trainer.{name}", "--job", site.job_file),
        environment={"OMP_NUM_THREADS": str(threads), "PYTHONUNBUFFERED": "1"},
        resources=Resources(cpus=processes * threads, processes=processes),
        needs=needs,
        nodes=nodes,
        gang=gang,
        metrics_ports=metrics_ports,
        shrinks=shrinks,
    )
