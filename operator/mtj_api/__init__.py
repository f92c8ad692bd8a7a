"""The MusicTrainingJob: what a user may say, what it means, and what both sides of the system agree on.

Invariant: depends on pydantic (and a YAML parser for reading files) alone, so that validating a job
never waits for torch, Ray or a Kubernetes client.
"""

from mtj_api.errors import JobError
from mtj_api.load import (
    InvalidJob,
    load_job,
    load_open_job,
    parse_job,
    parse_resolved_job,
    read_resolved_job,
    resolved_json,
    stage_json,
)
from mtj_api.resolve import Resolution, resolve, resolved_job
from mtj_api.spec import MusicTrainingJob

__all__ = [
    "InvalidJob",
    "JobError",
    "MusicTrainingJob",
    "Resolution",
    "load_job",
    "load_open_job",
    "parse_job",
    "parse_resolved_job",
    "read_resolved_job",
    "resolve",
    "resolved_job",
    "resolved_json",
    "stage_json",
]
