"""What a trained model has to beat: itself untrained, and counting.

Invariant: a baseline is as strong as it can be made without looking at the test split. The n-gram model is
fitted with and without the transpositions that the model was trained on, and the better on validation is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from mtj_trainer.evaluate.ngram import NgramModel
from mtj_trainer.evaluate.pieces import PreparedPiece
from mtj_trainer.families.symbolic import SymbolicConfig, SymbolicModel
from mtj_trainer.tokens import Tokenizer

ORDER = 5

AUGMENTED_TOKENS = 20_000_000
"""Transpositions, nearest first, are counted up to so many tokens: more add minutes and gigabytes, not strength."""


@dataclass(frozen=True)
class NgramBaseline:
    """The n-gram model that was kept.

    Attributes:
        model: it.
        semitones: how far, up and down, the training pieces were transposed for it; 0 is not at all.
        tokens: that were counted.
    """

    model: NgramModel
    semitones: int
    tokens: int


def untrained_model(config: SymbolicConfig, seed: int) -> SymbolicModel:
    """The same architecture with fresh weights; the global random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SymbolicModel(config).eval()


def fit_ngram(
    tokenizer: Tokenizer,
    train: Sequence[PreparedPiece],
    validation: Sequence[PreparedPiece],
    transpose_semitones: int,
) -> NgramBaseline:
    """The n-gram baseline for these pieces.

    Args:
        validation: decides how far to transpose; without it the pieces are taken as they are.

    Raises:
        ValueError: there is no training token, or the vocabulary is too large to pack.
    """
    total = sum(len(piece.tokens) for piece in train)
    room = max(0, AUGMENTED_TOKENS // max(1, total) - 1) // 2
    widest = min(transpose_semitones, room) if validation else 0
    best: NgramBaseline | None = None
    best_nll = float("inf")
    for semitones in sorted({0, widest}):
        sequences = _transposed(tokenizer, train, semitones)
        model = NgramModel.fit(sequences, vocabulary=tokenizer.size, order=ORDER)
        nll = float(np.mean(np.concatenate([model.nll(piece.tokens) for piece in validation]))) if validation else 0.0
        if nll < best_nll:
            best, best_nll = NgramBaseline(model, semitones, total * (2 * semitones + 1)), nll
    assert best is not None
    return best


def _transposed(
    tokenizer: Tokenizer, pieces: Sequence[PreparedPiece], semitones: int
) -> Iterator[npt.NDArray[np.uint16]]:
    for shift in range(-semitones, semitones + 1):
        for piece in pieces:
            yield tokenizer.transpose(piece.tokens, shift)
