"""The sizes of the model that a job starts from, as far as this machine can see them."""

from __future__ import annotations

import json
from collections import Counter
from math import prod
from pathlib import Path
from typing import Any

from mtj_api import MusicTrainingJob
from mtj_api.estimate import Started, published_sizes, sizes_in
from mtj_operator.plan.places import is_on_hub, local_path

IN_AN_OUTPUT = ("", "model", "train/best")
"""Where the output of a job has its model; a folder may also be the model's own."""


def started_sizes(job: MusicTrainingJob) -> Started | None:
    """What is known of ``spec.model.pretrained`` without a network; ``None`` where that is nothing."""
    model = job.spec.model
    if model is None or model.pretrained is None:
        return None
    if is_on_hub(job):
        return published_sizes(model.pretrained)
    path = local_path(model.pretrained)
    if path is None:
        return None
    for below in IN_AN_OUTPUT:
        folder = Path(path) / below
        try:
            return sizes_in(_json(folder / "config.json"), _counts(folder), _longest(folder))
        except (OSError, KeyError, ValueError):
            continue
    return None


def _counts(folder: Path) -> Counter[str]:
    """Parameters by the first part of their names, from the heads of the files that hold them."""
    counts: Counter[str] = Counter()
    for path in folder.glob("*.safetensors"):
        with path.open("rb") as file:
            head = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        for name, tensor in head.items():
            if name != "__metadata__":
                counts[name.partition(".")[0]] += prod(tensor["shape"])
    return counts


def _longest(folder: Path) -> int | None:
    path = folder / "generation_config.json"
    return _json(path).get("max_length") if path.is_file() else None


def _json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
