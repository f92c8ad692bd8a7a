"""``train/metrics.jsonl``: what was logged, a JSON object a row; a resumed run goes on with the same file."""

from __future__ import annotations

import json
from typing import Any

from mtj_trainer.storage import Storage

KEY = "train/metrics.jsonl"


class Curves:
    """Rows in memory, written whole: object stores have no append, and a curve is small.

    Args:
        output: the job's output.
        up_to: rows of later steps are dropped: a resumed run will make them again.
    """

    def __init__(self, output: Storage, up_to: int) -> None:
        self._output = output
        self.rows: list[dict[str, Any]] = []
        if up_to > 0 and output.exists(KEY):
            rows = (json.loads(line) for line in output.read(KEY).splitlines())
            self.rows = [row for row in rows if row["step"] <= up_to]

    def go_back(self, step: int) -> None:
        """Drop the rows of later steps."""
        self.rows = [row for row in self.rows if row["step"] <= step]

    def add(self, **row: Any) -> None:
        self.rows.append(row)

    def write(self) -> None:
        self._output.write(KEY, "".join(json.dumps(row) + "\n" for row in self.rows).encode())
