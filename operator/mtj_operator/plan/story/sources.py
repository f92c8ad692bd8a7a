"""What a job takes from others: the outputs that are there, and whom it still waits for, in words.

Invariants:

- An output is taken up once, into the status, and stays what it is, whatever becomes of the job that it was of.
- A job waits for a name: one that has failed or is not there may be replaced, so neither ends the wait.
- Of jobs that wait for each other in a circle, the one that is looked at while the circle is closed is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from mtj_api import JobError, MusicTrainingJob
from mtj_api.status import JobStatus
from mtj_operator.plan.observed import Resource
from mtj_operator.plan.sources import Reference, Result, names_in, references, wanted_stages
from mtj_operator.plan.story.reading import remembered


@dataclass(frozen=True)
class Sources:
    """What is known of the jobs that a job refers to.

    Attributes:
        taken: outputs by job, as the status has them.
        found: the same of jobs whose result is there now and not in the status yet.
        expected: the same of jobs that are there, done or not.
        waits_for: jobs whose result is not there.
        message: the same as a sentence; empty where there are none.
    """

    taken: Mapping[str, str]
    found: Mapping[str, str]
    expected: Mapping[str, str]
    waits_for: tuple[str, ...]
    message: str


def look_for(job: MusicTrainingJob, resource: Resource, before: JobStatus, others: Mapping[str, Resource]) -> Sources:
    """Look for what a job refers to.

    Args:
        job: as written.
        resource: it.
        before: its status.
        others: the jobs that it waits for, those that these wait for, and so on, by name, as far as they are there.

    Raises:
        JobError: it waits for itself, by whatever way.
    """
    named, taken = references(job), dict(before.sources or {})
    there = {name: other for name, other in others.items() if not other.deleted}
    missing = {name: stage for name, stage in wanted_stages(named).items() if name not in taken}
    expected = {name: output for name in missing if (output := _output(there.get(name)))}
    waits: dict[str, str] = {}
    for name, stage in missing.items():
        why = _why_not(there.get(name), stage)
        if why or name not in expected:
            waits[name] = f"job {name}, which {why}"
    _refuse_circles([reference for reference in named if reference.job in waits], resource.name, there)
    return Sources(
        taken=taken,
        found={name: output for name, output in expected.items() if name not in waits},
        expected=expected,
        waits_for=tuple(waits),
        message=f"waits for {', and for '.join(waits.values())}" if waits else "",
    )


def waited_for(resource: Resource) -> tuple[str, ...]:
    """The jobs whose results a job has not taken up yet; none for one that is done or has failed."""
    if not (names := names_in(resource.spec)):
        return ()
    status = remembered(resource)
    if status.state in ("Succeeded", "Failed"):
        return ()
    return tuple(name for name in names if name not in (status.sources or {}))


def _output(other: Resource | None) -> str:
    """Where a job writes, by its spec as it is; empty where it does not say."""
    try:
        spec = json.loads(other.spec) if other is not None else None
    except ValueError:
        spec = None
    output = spec.get("output") if isinstance(spec, dict) else None
    return output if isinstance(output, str) else ""


def _why_not(other: Resource | None, stage: Result) -> str:
    """Why a job's result is not there, after ``which``; empty where it is."""
    if other is None:
        return "does not exist"
    status = remembered(other)
    states = {row.name: row.state for row in status.stages}
    if states.get(stage) == "Succeeded":
        return ""
    if status.state == "Failed":
        return f"has failed{f' at stage {status.stage}' if status.stage else ''}; delete it and apply it anew"
    if states and stage not in states:
        return "trains no model"
    if status.state == "Suspended":
        return "is suspended"
    return f"is at stage {status.stage}" if status.stage else "has not begun"


def _refuse_circles(open_ones: list[Reference], name: str, there: Mapping[str, Resource]) -> None:
    for reference in open_ones:
        way = _way(reference.job, name, there)
        if way:
            circle = ", which waits for ".join(f"job {one}" for one in way)
            raise JobError(
                f"this job waits for {circle}: none of them could ever begin",
                where=f"{reference.field}.job",
                instead="name a job that waits for none of these",
            )


def _way(start: str, end: str, there: Mapping[str, Resource]) -> tuple[str, ...]:
    """How one job waits for another, from name to name; empty where it does not."""
    came_from = {start: ""}
    reached = [start]
    for name in reached:
        for after in waited_for(there[name]) if name in there else ():
            if after not in came_from:
                came_from[after] = name
                reached.append(after)
    way: list[str] = []
    while end in came_from and end:
        way.append(end)
        end = came_from[end]
    return tuple(reversed(way))
