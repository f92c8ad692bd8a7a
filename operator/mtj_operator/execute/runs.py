"""The jobs that were run on this machine, by name: where each wrote, so that another can take its model or data.

Invariant: of runs of one name the last one counts, whatever file or output it had.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from mtj_api import JobError, MusicTrainingJob
from mtj_api.waits import Awaited
from mtj_operator.plan.sources import Reference, references, wanted_stages


@dataclass(frozen=True)
class Run:
    """The last run of a job.

    Attributes:
        output: where it wrote.
        work_dir: its own folder, with the lock that it holds while it runs.
        command: what runs it again.
        takes_from: jobs that it took something from.
    """

    output: str
    work_dir: str
    command: str
    takes_from: tuple[str, ...]


def record_of(folder: Path, name: str) -> Path:
    """The file that remembers the last run of a job, in the folder that all jobs have their own in."""
    return folder / "runs" / f"{name}.json"


def record(run: Run) -> str:
    """What is in that file."""
    return json.dumps(asdict(run), indent=2)


def last_run(folder: Path, name: str) -> Run | None:
    """The last run of a job; ``None`` where there was none, or what remembers it cannot be read."""
    try:
        found = json.loads(record_of(folder, name).read_text(encoding="utf-8"))
        return Run(**{**found, "takes_from": tuple(found["takes_from"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def awaited(job: MusicTrainingJob, folder: Path) -> tuple[Awaited, ...]:
    """The runs that a job takes something from.

    Args:
        job: any.
        folder: that all jobs have their own in.

    Raises:
        JobError: one of these was not run here, or takes from this job in turn.
    """
    named = references(job)
    return tuple(
        _awaited(next(one for one in named if (one.job, one.stage) == wanted), job.metadata.name, folder)
        for wanted in wanted_stages(named).items()
    )


def _awaited(reference: Reference, name: str, folder: Path) -> Awaited:
    run = last_run(folder, reference.job)
    where = f"{reference.field}.job"
    if run is None:
        raise JobError(
            f"job {reference.job} has not been run here",
            where=where,
            instead="run it first: mtj run FILE, with the file of that job",
        )
    if name in _takes_from(reference.job, folder):
        raise JobError(
            f"job {reference.job} takes from job {name} in turn",
            where=where,
            instead="name a job that does not, or write the place that is meant",
        )
    return Awaited(reference.field, reference.job, reference.stage, run.output, run.work_dir, run.command)


def _takes_from(name: str, folder: Path) -> Iterator[str]:
    """All jobs that a job takes from, directly or not."""
    reached = [name]
    for one in reached:
        run = last_run(folder, one)
        for following in run.takes_from if run is not None else ():
            if following not in reached:
                reached.append(following)
                yield following
