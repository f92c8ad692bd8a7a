"""The publish stage: the folder ``model/`` of the output, which people load and later jobs start from.

Invariant: ``stages/publish.json`` is there only while ``model/`` is whole and is what it says.
"""

from __future__ import annotations

import hashlib
import json

from safetensors.torch import load as load_tensors

from mtj_api import JobError, MusicTrainingJob
from mtj_trainer.families.symbolic.weights import CONFIG, TOKENIZER, WEIGHTS
from mtj_trainer.prepare.dataset import PreparedDataset
from mtj_trainer.progress import Progress
from mtj_trainer.publish.card import ModelFacts, model_card
from mtj_trainer.report.figures import merged, stage_records
from mtj_trainer.stage import work_dir
from mtj_trainer.storage import open_storage

FOLDER = "model"
CARD = "README.md"
RECORD = "stages/publish.json"


def publish(job: MusicTrainingJob) -> None:
    """Publish the trained model of a resolved job."""
    output = open_storage(job.spec.output)
    records = stage_records(output)
    for stage in ("prepare", "train"):
        if stage not in records:
            raise JobError(f"the {stage} stage has not been completed", where=output.url, instead="run the whole job")
    progress = Progress("publish", 1)
    trained = output.child(records["train"]["weights"])
    files = {name: trained.read(name) for name in (CONFIG, TOKENIZER, WEIGHTS)}
    facts = ModelFacts(
        parameters=sum(tensor.numel() for tensor in load_tensors(files[WEIGHTS]).values()),
        config=json.loads(files[CONFIG]),
        tokenizer=json.loads(files[TOKENIZER]),
    )
    dataset = PreparedDataset.open(records["prepare"]["dataset"], work_dir())
    files[CARD] = model_card(job, facts, dataset, merged(records.values())).encode()
    fingerprint = _fingerprint(files)
    place = f"{output.url.removeprefix('file://')}/{FOLDER}"
    if output.exists(RECORD) and json.loads(output.read(RECORD))["fingerprint"] == fingerprint:
        progress.say(f"nothing to do: the model is at {place}")
        return
    output.delete(RECORD)
    for name, content in files.items():
        output.write(f"{FOLDER}/{name}", content)
    record = {"fingerprint": fingerprint, "model": FOLDER}
    output.write(RECORD, (json.dumps(record, indent=2) + "\n").encode())
    progress.say(f"model: {place}")


def _fingerprint(files: dict[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name, content in files.items():
        digest.update(name.encode() + b"\0" + hashlib.sha256(content).digest())
    return digest.hexdigest()
