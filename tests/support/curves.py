"""What a training has written of its course, for tests that compare one with another."""

from __future__ import annotations

import json

from mtj_trainer.storage import Storage


def losses(output: Storage) -> list[tuple[int, float]]:
    """Every logged training and validation loss, by step, of the job with this output."""
    rows = [json.loads(line) for line in output.read("train/metrics.jsonl").splitlines()]
    return [(row["step"], row.get("loss", row.get("validation_loss"))) for row in rows]
