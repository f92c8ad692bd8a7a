"""What the prepare stage says that it has done: ``stages/prepare.json`` of the output.

    {"dataset": URL, "codes": URL or absent, "source": name, "figures": {...}, "warnings": [...]}

Invariant: it is written once, when all that it names is complete; a rerun that made nothing leaves it as it is.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mtj_api import MusicTrainingJob
from mtj_trainer.storage import Storage, open_storage

if TYPE_CHECKING:
    from mtj_trainer.prepare.codes.stage import Codes

RECORD = "stages/prepare.json"

_WORK = {"dataset": "prepare.units", "codes": "prepare.codes"}
"""What is named, and the figures that tell how much of it was made."""


@dataclass(frozen=True)
class Prepared:
    """A data set, and what there is to say of it.

    Attributes:
        url: for ``PreparedDataset.open``.
        source: where the music came from.
    """

    url: str
    source: str
    figures: dict[str, float]
    warnings: list[str]


def write_record(job: MusicTrainingJob, prepared: Prepared, codes: Codes | None) -> dict[str, Any]:
    """Say where everything is; a rerun that made nothing keeps what the run that did said of its work."""
    output = open_storage(job.spec.output)
    figures = {**prepared.figures, **(codes.figures() if codes is not None else {})}
    record: dict[str, Any] = {
        "dataset": prepared.url,
        **({"codes": codes.url} if codes is not None else {}),
        "source": prepared.source,
        "figures": figures,
        "warnings": prepared.warnings,
    }
    before = _read(output)
    for part, work in _WORK.items():
        if record.get(part) == before.get(part) and not figures.get(f"{work}.made"):
            figures |= {name: value for name, value in before.get("figures", {}).items() if name in _counts(work)}
    if before != record:
        output.write(RECORD, json.dumps(record, ensure_ascii=False, indent=1).encode())
    return record


def _counts(work: str) -> tuple[str, str]:
    return f"{work}.made", f"{work}.reused"


def _read(output: Storage) -> dict[str, Any]:
    """The record of an earlier run; empty where there is none."""
    try:
        record: dict[str, Any] = json.loads(output.read(RECORD))
    except FileNotFoundError:
        return {}
    return record
