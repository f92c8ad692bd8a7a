"""The evaluate stage: what the model's family measures, once for the same weights and settings.

Invariant: the record ``stages/evaluate.json`` is written last and names the weights and settings that it is about;
a rerun with the same ones does nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from mtj_api import JobError, MusicTrainingJob
from mtj_api.spec.model import MUSICGEN_FAMILIES
from mtj_trainer.progress import Progress
from mtj_trainer.stage import leave_figures, stage_record, work_dir
from mtj_trainer.storage import Storage, open_storage
from mtj_trainer.storage.local import files_of, hashed, on_this_machine

RECORD = "stages/evaluate.json"

Evaluate = Callable[[MusicTrainingJob, dict[str, Any], Storage, Storage], dict[str, float]]
"""What a family measures: of a resolved job, the prepare stage's record, the folder with the weights, and the output,
to which it writes ``samples/``; the figures by name."""

KEY_FIGURES = (
    "heldout.nll",
    "heldout.accuracy",
    "heldout.bits_per_note",
    "baseline.ngram.nll",
    "baseline.untrained.nll",
    "request.key.match",
    "reconstruction.stft_distance",
    "baseline.griffin_lim.stft_distance",
    "codec.codebook_use",
    "fad.spectrogram",
    "baseline.pretrained.fad.spectrogram",
    "baseline.untrained.fad.spectrogram",
    "ceiling.fad.spectrogram",
    "copies.share",
    "samples.audible",
    "model.parameters",
)
"""What a status says of a model; the rest is in the record and in the report."""

FORMAT = 1
"""Raised when the same weights and settings give other figures than before, so that old records are not kept."""


def evaluate(job: MusicTrainingJob) -> None:
    """Evaluate the trained model of a resolved job and write ``stages/evaluate.json`` and ``samples/``."""
    model_spec = job.spec.model
    if model_spec is None:
        raise JobError("there is no model to evaluate", where="spec.model", instead="leave this stage out")
    output = open_storage(job.spec.output)
    prepared, trained = stage_record(output, "prepare"), stage_record(output, "train")
    weights = output.child(trained["weights"])
    fingerprint = _fingerprint(job, prepared["dataset"], weights)
    record = json.loads(output.read(RECORD)) if output.exists(RECORD) else {}
    if record.get("fingerprint") == fingerprint:
        Progress("evaluate", 1).say("nothing to do: these weights are evaluated")
    else:
        figures = _evaluation_of(model_spec.family)(job, prepared, weights, output)
        record = {"fingerprint": fingerprint, "figures": figures}
        output.write(RECORD, (json.dumps(record, indent=2, sort_keys=True) + "\n").encode())
    leave_figures(key_figures(record["figures"]))


def key_figures(figures: Mapping[str, float]) -> dict[str, float]:
    """Those of ``KEY_FIGURES`` that there are."""
    return {name: figures[name] for name in KEY_FIGURES if name in figures}


def _evaluation_of(family: str) -> Evaluate:
    """Imported here, as each family brings libraries along that take seconds to load."""
    if family == "codec":
        from mtj_trainer.evaluate.codec import evaluate_codec

        return evaluate_codec
    if family in MUSICGEN_FAMILIES:
        from mtj_trainer.evaluate.musicgen import evaluate_musicgen

        return evaluate_musicgen
    from mtj_trainer.evaluate.symbolic import evaluate_symbolic

    return evaluate_symbolic


def _fingerprint(job: MusicTrainingJob, dataset: str, weights: Storage) -> str:
    """Changes with whatever changes the figures: weights, settings, data, and this code's format."""
    with on_this_machine(weights, work_dir()) as folder:
        digest = hashed(files_of(folder))
    model = job.spec.model
    assert model is not None
    said = [
        FORMAT,
        dataset,
        job.spec.evaluation.model_dump(mode="json"),
        job.spec.dataset.augmentation.model_dump(mode="json"),
        model.conditioning,
        model.pretrained,
    ]
    digest.update(json.dumps(said, sort_keys=True).encode())
    return digest.hexdigest()
