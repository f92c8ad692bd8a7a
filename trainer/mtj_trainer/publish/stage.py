"""The publish stage: the folder ``model/`` of the output, which people load and later jobs start from.

Invariant: ``stages/publish.json`` is there only while ``model/`` is whole and is what it says.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from safetensors.torch import load as load_tensors

from mtj_api import MusicTrainingJob
from mtj_trainer.prepare.dataset import PreparedDataset
from mtj_trainer.progress import Progress
from mtj_trainer.publish.card import ModelFacts, model_card
from mtj_trainer.report.figures import merged, stage_records
from mtj_trainer.stage import leave_figures, stage_record, work_dir
from mtj_trainer.storage import open_storage

FOLDER = "model"
CARD = "README.md"
RECORD = "stages/publish.json"


def publish(job: MusicTrainingJob) -> None:
    """Publish the trained model of a resolved job."""
    output = open_storage(job.spec.output)
    prepared, trained = stage_record(output, "prepare"), stage_record(output, "train")
    progress = Progress("publish", 1)
    weights = output.child(trained["weights"])
    files = {entry.key: weights.read(entry.key) for entry in weights.list()}
    facts = _facts(files)
    dataset = PreparedDataset.open(prepared["dataset"], work_dir())
    files[CARD] = model_card(job, facts, dataset, merged(stage_records(output).values())).encode()
    fingerprint = _fingerprint(files)
    place = f"{output.url.removeprefix('file://')}/{FOLDER}"
    if output.exists(RECORD) and json.loads(output.read(RECORD))["fingerprint"] == fingerprint:
        progress.say(f"nothing to do: the model is at {place}")
    else:
        output.delete(RECORD)
        for name, content in files.items():
            output.write(f"{FOLDER}/{name}", content)
        record = {"fingerprint": fingerprint, "model": FOLDER}
        output.write(RECORD, (json.dumps(record, indent=2) + "\n").encode())
        progress.say(f"model: {place}")
    leave_figures({}, model=f"{output.url}/{FOLDER}")


def _facts(files: Mapping[str, bytes]) -> ModelFacts:
    tensors = [load_tensors(content) for name, content in files.items() if name.endswith(".safetensors")]
    return ModelFacts(
        parameters=sum(tensor.numel() for some in tensors for tensor in some.values()),
        files=tuple(sorted(files)),
        config=json.loads(files.get("config.json", b"{}")),
        tokenizer=json.loads(files.get("tokenizer.json", b"{}")),
    )


def _fingerprint(files: dict[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name, content in files.items():
        digest.update(name.encode() + b"\0" + hashlib.sha256(content).digest())
    return digest.hexdigest()
