"""Scores as token sequences and back.

Invariant: a tokenizer is a pure function of its settings, so that a model's ``tokenizer.json`` rebuilds the one
that made its data.
"""

from mtj_trainer.tokens.conditions import Conditions
from mtj_trainer.tokens.tokenizer import Tokenizer, load_tokenizer, make_tokenizer

__all__ = ["Conditions", "Tokenizer", "load_tokenizer", "make_tokenizer"]
