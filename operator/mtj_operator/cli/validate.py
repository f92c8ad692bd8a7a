"""``mtj validate``: a line for each job that is right, and a sentence for each fault of one that is not."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from mtj_api import JobError
from mtj_api.contract import ExitCode
from mtj_operator.cli.job import read_job


def validate(files: Sequence[str], settings: Sequence[str]) -> int:
    """Check each file; the exit status."""
    status = ExitCode.DONE
    for file in files:
        try:
            read_job(file, settings)
        except JobError as error:
            print(error, file=sys.stderr)
            status = ExitCode.WRONG_JOB
        else:
            print(f"{file}: ok")
    return status
