"""References from one job to another: its model or its data, by the job's name."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

from mtj_api.spec.base import SpecModel
from mtj_api.spec.kubernetes import DNS_LABEL

NAME_PATTERN = DNS_LABEL
NAME_LENGTH = 45
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN, max_length=NAME_LENGTH)]
"""A DNS label, which leaves room for ``-evaluate-999-1023`` in the host names of a job's pods, of 63 characters."""


class JobReference(SpecModel):
    """Another job, whose result is taken once it is there."""

    job: Name
    """Name of a MusicTrainingJob: of the same namespace on a cluster, run on this machine by ``mtj run``."""
