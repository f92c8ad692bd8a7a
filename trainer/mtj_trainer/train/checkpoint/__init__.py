"""The whole state of a training run as files, so that a lost process costs the steps since the last one.

A checkpoint is a folder ``step-00001000`` with ``weights.safetensors``, ``averaged.safetensors``, ``optimizer.pt``,
``state.json`` and ``manifest.json``. The manifest has the size and the checksum of each of the others; it is written
last and deleted first. A folder without one is no checkpoint, and one whose files are not as its manifest says is
passed over.
"""

from mtj_trainer.train.checkpoint.background import Patience
from mtj_trainer.train.checkpoint.folder import BEST, CheckpointFolder
from mtj_trainer.train.checkpoint.manifest import MANIFEST
from mtj_trainer.train.checkpoint.owner import Owner, Superseded
from mtj_trainer.train.checkpoint.state import STATE, Complete, Faults, Restored, RunState, reseed

__all__ = [
    "BEST",
    "MANIFEST",
    "STATE",
    "CheckpointFolder",
    "Complete",
    "Faults",
    "Owner",
    "Patience",
    "Restored",
    "RunState",
    "Superseded",
    "reseed",
]
