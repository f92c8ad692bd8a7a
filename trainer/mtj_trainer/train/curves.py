"""``train/metrics.jsonl``: what was logged, a JSON object a row; a resumed run goes on with its own rows.

They are beside the run's checkpoints as well: the output shows those of the run that was trained last, which a change
of settings and back makes another.
"""

from __future__ import annotations

import json
from typing import Any

from mtj_trainer.storage import Storage

KEY = "train/metrics.jsonl"
"""In the output."""

OWN_KEY = "metrics.jsonl"
"""In the folder of the run's checkpoints."""


class Curves:
    """Rows in memory, written whole: object stores have no append, and a curve is small.

    Args:
        output: the job's output.
        run: the folder of the run's checkpoints.
        up_to: rows of later steps are dropped: a resumed run will make them again.
    """

    def __init__(self, output: Storage, run: Storage, up_to: int) -> None:
        self._output = output
        self._run = run
        self.rows: list[dict[str, Any]] = []
        if up_to > 0 and run.exists(OWN_KEY):
            rows = (json.loads(line) for line in run.read(OWN_KEY).splitlines())
            self.rows = [row for row in rows if row["step"] <= up_to]

    def go_back(self, step: int) -> None:
        """Drop the rows of later steps."""
        self.rows = [row for row in self.rows if row["step"] <= step]

    def add(self, **row: Any) -> None:
        self.rows.append(row)

    def write(self) -> None:
        written = "".join(json.dumps(row) + "\n" for row in self.rows).encode()
        self._run.write(OWN_KEY, written)
        self._output.write(KEY, written)
