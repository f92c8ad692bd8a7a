"""Reads the file of ``--job-defaults``: fields of ``spec.scheduling``, in YAML, for jobs that leave them out.

Invariant: what cannot work is refused as the operator starts, with the sentence that a job would get, so that a bad
default stops no job.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from mtj_api import JobError
from mtj_api.document import Document
from mtj_api.faults import explain_fault
from mtj_api.spec import Scheduling, StageResources
from mtj_operator.plan.job_defaults import FIELDS
from mtj_operator.plan.objects.checks import check_scheduling

_NAMES = tuple(to_camel(field) for field in FIELDS)
_INSTEAD = f"write fields of a job's spec.scheduling: {', '.join(_NAMES[:-1])} and {_NAMES[-1]}"
_WITHIN = ("spec", "scheduling")


def read(path: Path) -> Scheduling:
    """The defaults in a file.

    Raises:
        JobError: it cannot be read, or says what no job may.
    """
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise JobError(f"cannot read the defaults of jobs ({error})", where=str(path), instead=_INSTEAD) from None
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        raise JobError(f"not valid YAML: {problem}", where=str(path), instead=_INSTEAD) from None
    return parsed({} if value is None else value, str(path))


def parsed(value: Any, source: str) -> Scheduling:
    """The defaults that a value of YAML says.

    Args:
        value: what was read.
        source: what to call the file.

    Raises:
        JobError: it says what no job may.
    """
    if not isinstance(value, dict):
        raise JobError("the defaults of jobs are not a mapping", where=source, instead=_INSTEAD)
    for name in value:
        if name not in _NAMES:
            raise JobError("there are no defaults for this", where=f"{source}: {name}", instead=_INSTEAD)
    document = Document({"spec": {"scheduling": value}}, source=source, places={})
    try:
        found = Scheduling.model_validate(value, by_alias=True, by_name=False)
    except ValidationError as error:
        fault = error.errors()[0]
        raise explain_fault({**fault, "loc": (*_WITHIN, *fault["loc"])}, document) from None
    for stage in StageResources.model_fields:
        if getattr(found.resources, stage).gpus:
            raise JobError(
                "a job itself says how many GPUs it trains on",
                where=f"{source}: resources.{stage}.gpus",
                instead="leave it out",
            )
    try:
        check_scheduling(found)
    except JobError as error:
        raise error.at(source) from None
    return found
