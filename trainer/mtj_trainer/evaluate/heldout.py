"""How likely held-out music is, to the model and to its baselines, on exactly the same tokens.

Invariant: every token of every piece is predicted once, from what comes before it in the piece; the conditions
before a piece and its end do not count.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from mtj_trainer.evaluate.ngram import NgramModel
from mtj_trainer.evaluate.pieces import PreparedPiece
from mtj_trainer.evaluate.statistics import statistics
from mtj_trainer.families.symbolic import SymbolicModel
from mtj_trainer.families.symbolic.model import token_nll
from mtj_trainer.families.symbolic.sequences import Piece, collate
from mtj_trainer.families.windows import sliding_windows
from mtj_trainer.tokens import Tokenizer

WINDOWS = 8
"""Windows of a piece that go through the model at a time."""

NATS_PER_BIT = float(np.log(2.0))


@dataclass(frozen=True)
class Predictions:
    """What was predicted of one piece.

    Attributes:
        nats: (T,) the negative log-likelihood of each token.
        hits: (T,) whether the most probable token was the one that came.
    """

    nats: npt.NDArray[np.float64]
    hits: npt.NDArray[np.bool_]


Done = Callable[[int], None]
"""Told after each piece how many are done."""


def predict_with_model(
    model: SymbolicModel,
    tokenizer: Tokenizer,
    pieces: Sequence[PreparedPiece],
    conditioning: frozenset[str],
    done: Done = lambda _: None,
) -> list[Predictions]:
    """The model's predictions, in windows as long as its context that slide by half of it."""
    was_training = model.training
    model.eval()
    found = []
    for number, piece in enumerate(pieces, start=1):
        found.append(_predict_piece(model, tokenizer, piece, conditioning))
        done(number)
    model.train(was_training)
    return found


@torch.inference_mode()
def _predict_piece(
    model: SymbolicModel, tokenizer: Tokenizer, piece: PreparedPiece, conditioning: frozenset[str]
) -> Predictions:
    rows = Piece(tokenizer, piece.tokens, piece.conditions.only(conditioning), piece.conditions.metre)
    context, prefix = model.config.context, rows.prefix_length
    device = next(model.parameters()).device
    nats, hits = np.zeros(rows.positions), np.zeros(rows.positions, np.bool_)
    windows = sliding_windows(rows.positions, context - prefix)
    for start in range(0, len(windows), WINDOWS):
        some = windows[start : start + WINDOWS]
        batch = collate([rows.row(first, context) for first, _ in some], tokenizer.pad).to(device)
        logits = model(batch.tokens, batch.features).float()
        losses = token_nll(logits, batch.targets)[:, prefix:].double().cpu().numpy()
        right = (logits.argmax(-1) == batch.targets)[:, prefix:].cpu().numpy()
        for row, (first, counted_from) in enumerate(some):
            end = min(rows.positions, first + context - prefix)
            nats[counted_from:end] = losses[row, counted_from - first : end - first]
            hits[counted_from:end] = right[row, counted_from - first : end - first]
    return Predictions(nats[:-1], hits[:-1])  # the last prediction is of the end


def predict_with_ngram(model: NgramModel, pieces: Sequence[PreparedPiece]) -> list[Predictions]:
    """The n-gram model's predictions of the same tokens."""
    return [Predictions(model.nll(piece.tokens), model.most_probable(piece.tokens) == piece.tokens) for piece in pieces]


@dataclass(frozen=True)
class Extent:
    """How much music a set of pieces is."""

    pieces: int
    tokens: int
    notes: int
    beats: float


def extent(tokenizer: Tokenizer, pieces: Sequence[PreparedPiece]) -> Extent:
    """Count notes and beats as the tokens say them, so that likelihoods can be given a note and a beat."""
    found = [statistics(tokenizer.decode(piece.tokens, piece.conditions)) for piece in pieces]
    return Extent(
        pieces=len(pieces),
        tokens=sum(len(piece.tokens) for piece in pieces),
        notes=sum(each.notes for each in found),
        beats=sum(each.beats for each in found),
    )


def likelihood_figures(predictions: Sequence[Predictions], music: Extent) -> dict[str, float]:
    """Figures of one predictor.

    Returns:
        ``nll``: nats a token. ``nll.standard_error``: of ``nll``, over pieces, where there are two at least.
        ``nll_per_note`` and ``nll_per_beat``: nats, comparable between tokenizers. ``bits_per_note``: the same in
        bits. ``accuracy``: share of tokens that were the most probable one.
    """
    total = float(sum(each.nats.sum() for each in predictions))
    tokens = sum(len(each.nats) for each in predictions)
    figures = {
        "nll": total / tokens,
        "accuracy": float(sum(each.hits.sum() for each in predictions)) / tokens,
    }
    if len(predictions) > 1:
        figures["nll.standard_error"] = _standard_error([each.nats for each in predictions])
    if music.notes:
        figures["nll_per_note"] = total / music.notes
        figures["bits_per_note"] = total / music.notes / NATS_PER_BIT
    if music.beats:
        figures["nll_per_beat"] = total / music.beats
    return figures


def gain_figures(own: Sequence[Predictions], baseline: Sequence[Predictions]) -> dict[str, float]:
    """How much better the model is than a baseline on the same pieces.

    Returns:
        ``gain``: nats a token that the baseline needs more. ``gain.standard_error``: over pieces, each compared with
        itself, so that hard pieces do not blur the difference.
    """
    differences = [theirs.nats - ours.nats for ours, theirs in zip(own, baseline, strict=True)]
    figures = {"gain": float(np.mean(np.concatenate(differences)))}
    if len(differences) > 1:
        figures["gain.standard_error"] = _standard_error(differences)
    return figures


def _standard_error(values: Sequence[npt.NDArray[np.float64]]) -> float:
    """Of the mean over all tokens, where pieces are independent and the tokens of a piece are not.

    The linearized variance of a ratio of sums (Cochran, Sampling Techniques, 1977, section 2.11).
    """
    sums, counts = np.array([each.sum() for each in values]), np.array([len(each) for each in values])
    residuals = sums - sums.sum() / counts.sum() * counts
    pieces = len(values)
    return float(np.sqrt(pieces / (pieces - 1) * np.sum(residuals**2)) / counts.sum())
