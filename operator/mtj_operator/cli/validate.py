"""``mtj validate``: a line for each job that is right, and a sentence for each fault of one that is not."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from mtj_api import JobError
from mtj_api.contract import ExitCode
from mtj_operator.cli.job import read_job
from mtj_operator.plan.sources import references, wanted_stages


def validate(files: Sequence[str], settings: Sequence[str]) -> int:
    """Check each file; the exit status."""
    status = ExitCode.DONE
    for file in files:
        try:
            job = read_job(file, settings).job
        except JobError as error:
            print(error, file=sys.stderr)
            status = ExitCode.WRONG_JOB
        else:
            others = " and ".join(f"job {name}" for name in wanted_stages(references(job)))
            print(f"{file}: ok{f'; waits for {others}' if others else ''}")
    return status
