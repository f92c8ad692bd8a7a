"""What a job takes from other jobs: whose result, where it will lie, and the job once that is known.

Invariant: a result is named by the job that makes it and lies in that job's output, so an output is all that is ever
to be found out of another job.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mtj_api import JobError, MusicTrainingJob

Result = Literal["prepare", "publish"]
"""The stage that makes what is wanted of another job: its data, or its model."""


@dataclass(frozen=True)
class Reference:
    """A field that names another job.

    Attributes:
        field: its path, as ``spec.model.from``.
        job: the name.
        stage: of that job, whose result is wanted.
    """

    field: str
    job: str
    stage: Result


@dataclass(frozen=True)
class _Kind:
    """Where a reference stands in a spec, and where the place goes that takes its turn."""

    holder: tuple[str, ...]
    place: str
    stage: Result
    below: str


_KINDS = (
    _Kind(("dataset",), "prepared", "prepare", ""),
    _Kind(("model",), "pretrained", "publish", "/model"),
    _Kind(("model", "codec"), "url", "publish", "/model"),
)


def references(job: MusicTrainingJob) -> tuple[Reference, ...]:
    """The fields of a job that name other jobs.

    Raises:
        JobError: one names the job itself.
    """
    found = tuple(
        Reference(".".join(("spec", *kind.holder, "from")), holder.from_job.job, kind.stage)
        for kind in _KINDS
        if (holder := _holder(job, kind)) is not None and holder.from_job is not None
    )
    for reference in found:
        if reference.job == job.metadata.name:
            raise JobError(
                "the job waits for itself", where=f"{reference.field}.job", instead="name the job that makes it"
            )
    return found


def wanted_stages(found: tuple[Reference, ...]) -> dict[str, Result]:
    """The last stage whose result is wanted of each job that is referred to, in the order of the references."""
    stages: dict[str, Result] = {}
    for reference in found:
        if stages.get(reference.job) != "publish":
            stages[reference.job] = reference.stage
    return stages


def with_sources(job: MusicTrainingJob, sources: Mapping[str, str]) -> MusicTrainingJob:
    """The job with places instead of references.

    Args:
        job: it is left as it is.
        sources: the output of each job, by name; a reference to one that is not among them stays.

    Raises:
        JobError: the job would write into the output of one of them.
    """
    placed = job.model_copy(deep=True)
    for kind in _KINDS:
        holder = _holder(placed, kind)
        if holder is None or holder.from_job is None or holder.from_job.job not in sources:
            continue
        name, output = holder.from_job.job, sources[holder.from_job.job].rstrip("/")
        if output == placed.spec.output.rstrip("/"):
            raise JobError(
                f"{output} is the output of job {name} too, and each would overwrite what the other writes",
                where="spec.output",
                instead="name another place",
            )
        setattr(holder, kind.place, f"{output}{kind.below}")
        holder.from_job = None
    return placed


def names_in(spec: str) -> tuple[str, ...]:
    """The jobs that a spec refers to, read from its JSON as it is: it may be wrong, or of a newer version."""
    if '"from"' not in spec:
        return ()
    try:
        root = json.loads(spec)
    except ValueError:
        return ()
    found = (_at(root, *kind.holder, "from", "job") for kind in _KINDS)
    return tuple(dict.fromkeys(name for name in found if isinstance(name, str)))


def _holder(job: MusicTrainingJob, kind: _Kind) -> Any:
    owner: Any = job.spec
    for name in kind.holder:
        owner = None if owner is None else getattr(owner, name)
    return owner


def _at(node: Any, *path: str) -> Any:
    for name in path:
        node = node.get(name) if isinstance(node, dict) else None
    return node
