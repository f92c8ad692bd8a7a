"""What a job on one machine waits for, as ``mtj run`` tells the stage ``wait``: a file in the job's work folder."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = "waits.json"


@dataclass(frozen=True)
class Awaited:
    """A result of another job, by the last run of that job on this machine.

    Attributes:
        field: of the spec, which names the job.
        job: its name.
        stage: of it, which makes what is wanted.
        output: where it writes.
        work_dir: its own folder, with the lock that it holds while it runs.
        command: what runs it again.
    """

    field: str
    job: str
    stage: str
    output: str
    work_dir: str
    command: str


def waits_json(waits: Iterable[Awaited]) -> str:
    """The file's content."""
    return json.dumps([asdict(one) for one in waits], indent=2)


def read_waits(work_dir: Path) -> tuple[Awaited, ...]:
    """What the job with this work folder waits for."""
    return tuple(Awaited(**one) for one in json.loads((work_dir / FILE).read_text(encoding="utf-8")))
