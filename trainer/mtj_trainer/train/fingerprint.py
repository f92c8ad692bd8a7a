"""Which settings make two training runs the same run, so that one may go on from the other's checkpoints."""

from __future__ import annotations

import hashlib
import json

from mtj_api import MusicTrainingJob

ELSEWHERE = (
    *("steps", "nodes", "min_nodes", "processes_per_node", "engine", "deepspeed", "activation_checkpointing"),
    *("bad_steps", "hang_seconds"),
)


def fingerprint(job: MusicTrainingJob, dataset: str) -> str:
    """A short hash of the data and of all settings that shape the path of the weights.

    What only says how far (``steps``, and the warm-up that follows from it) or on what machines (nodes, processes,
    the engine, activation checkpointing, passes of a step) is left out: a run may be made longer, or go on elsewhere.
    So is which of its steps are bad, which is changed to go on with a run that failed of them.

    Args:
        job: a resolved job.
        dataset: URL of the prepared data, whose last part is a hash of its content.
    """
    assert job.spec.training is not None
    assert job.spec.model is not None
    training = job.spec.training.model_dump(mode="json")
    for name in ELSEWHERE:
        del training[name]
    del training["schedule"]["warmup_steps"]
    del training["batch"]["accumulation"], training["batch"]["auto"]
    shaping = {
        "dataset": dataset.rstrip("/").rsplit("/", 1)[-1],
        "augmentation": job.spec.dataset.augmentation.model_dump(mode="json"),
        "model": job.spec.model.model_dump(mode="json", exclude={"size"}),
        "training": training,
    }
    return hashlib.sha256(json.dumps(shaping, sort_keys=True).encode()).hexdigest()[:12]
