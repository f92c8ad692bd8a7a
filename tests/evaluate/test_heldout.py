"""Held-out likelihood: the same tokens for everyone, each counted once, and errors that mean what they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mtj_api.spec import MidiPreparation
from mtj_trainer.evaluate.heldout import (
    Extent,
    Predictions,
    extent,
    gain_figures,
    likelihood_figures,
    predict_with_model,
    predict_with_ngram,
)
from mtj_trainer.evaluate.ngram import NgramModel
from mtj_trainer.evaluate.pieces import PreparedPiece
from mtj_trainer.families.symbolic import SymbolicConfig, SymbolicModel, sequence_nll
from mtj_trainer.tokens import Conditions, Tokenizer, make_tokenizer
from support.scores import chorale

ALL = frozenset({"key", "metre", "tempo", "instruments"})


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return make_tokenizer(MidiPreparation(tokenizer="grid", steps_per_beat=4))


@pytest.fixture(scope="module")
def pieces(tokenizer: Tokenizer) -> list[PreparedPiece]:
    known = Conditions("Cmaj", "4/4", 100.0, (0,))
    scores = [chorale(bars=1), chorale(bars=4, root=62), chorale(bars=9, root=57)]
    return [PreparedPiece(str(n), str(n), tokenizer.encode(score), known) for n, score in enumerate(scores)]


@pytest.fixture(scope="module")
def model(tokenizer: Tokenizer) -> SymbolicModel:
    torch.manual_seed(0)
    return SymbolicModel(SymbolicConfig(tokenizer.size, tokenizer.feature_sizes, 2, 32, 2, 64))


def test_model_predictions_are_those_of_the_family_itself(
    model: SymbolicModel, tokenizer: Tokenizer, pieces: list[PreparedPiece]
) -> None:
    for piece, found in zip(pieces, predict_with_model(model, tokenizer, pieces, ALL), strict=True):
        expected = sequence_nll(model, tokenizer, piece.tokens, piece.conditions)
        np.testing.assert_allclose(found.nats, expected, atol=1e-5)
        assert found.nats.shape == found.hits.shape == piece.tokens.shape


def test_everyone_predicts_the_same_tokens(
    model: SymbolicModel, tokenizer: Tokenizer, pieces: list[PreparedPiece]
) -> None:
    ngram = NgramModel.fit([piece.tokens for piece in pieces], vocabulary=tokenizer.size)
    by_model, by_ngram = predict_with_model(model, tokenizer, pieces, ALL), predict_with_ngram(ngram, pieces)
    assert [len(p.nats) for p in by_model] == [len(p.nats) for p in by_ngram] == [len(p.tokens) for p in pieces]
    gain = gain_figures(by_model, by_ngram)["gain"]
    music = extent(tokenizer, pieces)
    losses = [likelihood_figures(predictions, music)["nll"] for predictions in (by_model, by_ngram)]
    assert gain == pytest.approx(losses[1] - losses[0])
    assert gain < 0, "an untrained model must not beat counts of the very pieces"


def test_the_mode_of_the_model_is_left_as_it_was(
    model: SymbolicModel, tokenizer: Tokenizer, pieces: list[PreparedPiece]
) -> None:
    model.train()
    predict_with_model(model, tokenizer, pieces[:1], ALL)
    assert model.training


def test_extent_counts_what_the_tokens_say(tokenizer: Tokenizer, pieces: list[PreparedPiece]) -> None:
    found = extent(tokenizer, pieces[:2])
    assert (found.pieces, found.notes, found.beats) == (2, (1 + 4) * 16, 20.0)
    assert found.tokens == sum(len(piece.tokens) for piece in pieces[:2])


def test_figures_of_a_small_case() -> None:
    predictions = [
        Predictions(np.array([1.0, 3.0]), np.array([True, False])),
        Predictions(np.array([2.0, 2.0, 2.0, 4.0]), np.array([True, True, False, False])),
    ]
    figures = likelihood_figures(predictions, Extent(pieces=2, tokens=6, notes=7, beats=3.5))
    assert figures["nll"] == pytest.approx(14 / 6)
    assert figures["accuracy"] == pytest.approx(0.5)
    assert figures["nll_per_note"] == pytest.approx(2.0)
    assert figures["bits_per_note"] == pytest.approx(2.0 / np.log(2))
    assert figures["nll_per_beat"] == pytest.approx(4.0)


def test_the_standard_error_is_that_of_independent_pieces() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(20, 60, size=40)
    draws = []
    for _ in range(400):
        pieces = [np.full(length, rng.normal(2.0, 0.5)) for length in lengths]
        predictions = [Predictions(nats, np.zeros(len(nats), np.bool_)) for nats in pieces]
        draws.append(likelihood_figures(predictions, Extent(40, int(lengths.sum()), 1, 1.0)))
    spread = np.std([draw["nll"] for draw in draws])
    claimed = np.mean([draw["nll.standard_error"] for draw in draws])
    assert claimed == pytest.approx(spread, rel=0.15)


def test_comparing_each_piece_with_itself_takes_out_how_hard_it_is() -> None:
    rng = np.random.default_rng(0)
    ours = [rng.normal(difficulty, 0.1, 50) for difficulty in (1.0, 2.0, 3.0, 4.0)]
    no_hit = np.zeros(50, np.bool_)
    own = [Predictions(nats, no_hit) for nats in ours]
    other = [Predictions(nats + rng.normal(0.3, 0.1, 50), no_hit) for nats in ours]
    gain = gain_figures(own, other)
    assert gain["gain"] == pytest.approx(0.3, abs=0.03)
    assert gain["gain.standard_error"] < 0.03
    alone = likelihood_figures(own, Extent(4, 200, 1, 1.0))["nll.standard_error"]
    assert alone > 10 * gain["gain.standard_error"]
