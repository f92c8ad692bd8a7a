"""The stages of a job, in order: what each runs, with what, and what must be done before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mtj_api import JobError, MusicTrainingJob

STAGES = ("prepare", "train", "evaluate", "report", "publish")
"""Every stage that there is, in the order in which they run. A job without a model has prepare and report."""


@dataclass(frozen=True)
class Resources:
    """What a stage uses.

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
        name: one of ``STAGES``.
        command: program and arguments.
        environment: variables that it needs beside those that it inherits.
        resources: what it uses.
        needs: names of the stages whose results it reads.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    resources: Resources
    needs: tuple[str, ...]


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
class Site:
    """Facts of the place where the stages run.

    Attributes:
        python: the interpreter that has ``mtj_trainer``.
        job_file: where a stage finds the resolved job as JSON.
        cores: processor cores that a stage may use.
    """

    python: str
    job_file: str
    cores: int


def plan(job: MusicTrainingJob, site: Site) -> Plan:
    """The stages of a resolved job.

    The threads of each process are its share of the cores: torch's own choice, all cores for every process, makes
    two processes slower than one.
    """
    prepare = _stage("prepare", site, processes=min(job.spec.dataset.workers.count, site.cores), threads=1)
    if job.spec.model is None or job.spec.training is None:
        return Plan((prepare, _stage("report", site, needs=("prepare",))))
    processes = job.spec.training.processes_per_node
    launcher = ("-m", "mtj_trainer.train.launch", "--standalone", "--nproc-per-node", str(processes))
    threads = max(1, site.cores // processes)
    return Plan(
        (
            prepare,
            _stage("train", site, needs=("prepare",), launcher=launcher, processes=processes, threads=threads),
            _stage("evaluate", site, needs=("prepare", "train"), threads=site.cores),
            _stage("report", site, needs=("prepare", "train", "evaluate")),
            _stage("publish", site, needs=("train", "report")),
        )
    )


def _stage(
    name: str,
    site: Site,
    *,
    needs: tuple[str, ...] = (),
    launcher: tuple[str, ...] = (),
    processes: int = 1,
    threads: int = 1,
) -> Stage:
    return Stage(
        name=name,
        command=(site.python, *launcher, "-m", f"mtj_trainer.{name}", "--job", site.job_file),
        environment={"OMP_NUM_THREADS": str(threads), "PYTHONUNBUFFERED": "1"},
        resources=Resources(cpus=processes * threads, processes=processes),
        needs=needs,
    )
