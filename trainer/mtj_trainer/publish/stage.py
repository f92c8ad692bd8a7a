"""The publish stage: the folder ``model/`` of the output, which people load and later jobs start from.

Invariant: ``stages/publish.json`` is there only while ``model/`` is whole and is what it says.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open

from mtj_api import MusicTrainingJob
from mtj_trainer.prepare.dataset import PreparedDataset
from mtj_trainer.progress import Progress
from mtj_trainer.publish.card import ModelFacts, model_card
from mtj_trainer.report.figures import merged, stage_records
from mtj_trainer.stage import leave_figures, stage_record, work_dir
from mtj_trainer.storage import Storage, open_storage
from mtj_trainer.storage.local import files_of, hashed, on_this_machine

FOLDER = "model"
CARD = "README.md"
RECORD = "stages/publish.json"


def publish(job: MusicTrainingJob) -> None:
    """Publish the trained model of a resolved job."""
    output = open_storage(job.spec.output)
    prepared, trained = stage_record(output, "prepare"), stage_record(output, "train")
    progress = Progress("publish", 1)
    dataset = PreparedDataset.open(prepared["dataset"], work_dir())
    with on_this_machine(output.child(trained["weights"]), work_dir()) as weights:
        files = files_of(weights)
        figures = merged(stage_records(output).values())
        card = model_card(job, _facts(files), dataset, figures).encode()
        fingerprint = _fingerprint(files, card)
        place = f"{output.url.removeprefix('file://')}/{FOLDER}"
        if output.exists(RECORD) and json.loads(output.read(RECORD))["fingerprint"] == fingerprint:
            progress.say(f"nothing to do: the model is at {place}")
        else:
            _store(output, files, card)
            record = {"fingerprint": fingerprint, "model": FOLDER}
            output.write(RECORD, (json.dumps(record, indent=2) + "\n").encode())
            progress.say(f"model: {place}")
    leave_figures({}, model=f"{output.url}/{FOLDER}")


def _store(output: Storage, files: Mapping[str, Path], card: bytes) -> None:
    """Make the folder hold these files and nothing else: an adaptation that was there before would be taken for one
    of this model."""
    output.delete(RECORD)
    folder = output.child(FOLDER)
    for gone in {entry.key for entry in folder.list()} - {CARD, *files}:
        folder.delete(gone)
    for name, path in files.items():
        folder.write(name, path)
    folder.write(CARD, card)


def _facts(files: Mapping[str, Path]) -> ModelFacts:
    return ModelFacts(
        parameters=sum(_parameters(path) for path in files.values() if path.suffix == ".safetensors"),
        files=tuple(files),
        config=_read_json(files.get("config.json")),
        tokenizer=_read_json(files.get("tokenizer.json")),
    )


def _parameters(path: Path) -> int:
    """How many numbers the tensors of a file have, by its header alone."""
    with safe_open(path, "pt") as tensors:
        names = tensors.keys()
        return sum(math.prod(tensors.get_slice(name).get_shape()) for name in names)


def _read_json(path: Path | None) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_bytes()) if path is not None else {}
    return found


def _fingerprint(files: Mapping[str, Path], card: bytes) -> str:
    digest = hashed(files)
    digest.update(card)
    return digest.hexdigest()
