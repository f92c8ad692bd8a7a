"""Adapting a frozen model: what is trained beside it, or of it, and how that is saved alone, loaded and merged."""

from mtj_trainer.adaptation.adaptation import Adaptation, adapt, choose
from mtj_trainer.adaptation.files import base_of, holds_adaptation, load_adaptation, save_adaptation
from mtj_trainer.adaptation.merge import merge
from mtj_trainer.adaptation.targets import MUSICGEN, MUSICGEN_MELODY, Targets

__all__ = [
    "MUSICGEN",
    "MUSICGEN_MELODY",
    "Adaptation",
    "Targets",
    "adapt",
    "base_of",
    "choose",
    "holds_adaptation",
    "load_adaptation",
    "merge",
    "save_adaptation",
]
