"""Family ``symbolic``: a decoder-only transformer over MIDI tokens that continues, and composes from a request."""

from mtj_trainer.families.symbolic.generate import generate
from mtj_trainer.families.symbolic.likelihood import sequence_nll
from mtj_trainer.families.symbolic.model import SymbolicConfig, SymbolicModel
from mtj_trainer.families.symbolic.weights import load_model, save_model

__all__ = ["SymbolicConfig", "SymbolicModel", "generate", "load_model", "save_model", "sequence_nll"]
