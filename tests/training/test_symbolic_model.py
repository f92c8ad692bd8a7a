"""The decoder: what it may see, that its cache changes nothing, and that pieces come out as asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mtj_api import JobError
from mtj_api.spec import MidiPreparation
from mtj_trainer.families.symbolic import (
    SymbolicConfig,
    SymbolicModel,
    generate,
    load_model,
    save_model,
    sequence_nll,
)
from mtj_trainer.families.symbolic.model import KeyValueCache
from mtj_trainer.families.symbolic.sequences import Piece, collate
from mtj_trainer.families.windows import sliding_windows, training_start, window_count
from mtj_trainer.prepare.midi import clean
from mtj_trainer.storage import open_storage
from mtj_trainer.tokens import Conditions, Tokenizer, make_tokenizer
from support.scores import chorale

KNOWN = Conditions("Cmaj", "4/4", 100.0, (0,))


@pytest.fixture(params=["grid", "remi"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return make_tokenizer(MidiPreparation(tokenizer=request.param, steps_per_beat=4))


def small_model(tokenizer: Tokenizer, context: int = 64, *, checkpointed: bool = False) -> SymbolicModel:
    torch.manual_seed(0)
    config = SymbolicConfig(tokenizer.size, tokenizer.feature_sizes, 2, 32, 2, context, dropout=0.1)
    return SymbolicModel(config, checkpoint_activations=checkpointed)


def music(tokenizer: Tokenizer, bars: int = 8) -> np.ndarray:
    return tokenizer.encode(clean(chorale(bars), 4))


def test_a_prediction_sees_nothing_that_comes_after(tokenizer: Tokenizer) -> None:
    model = small_model(tokenizer).eval()
    batch = collate([Piece(tokenizer, music(tokenizer), KNOWN).row(0, 64)], tokenizer.pad)
    later = batch.tokens.clone()
    later[:, 40:] = tokenizer.begin
    with torch.no_grad():
        before, after = model(batch.tokens, batch.features), model(later, batch.features)
    assert torch.equal(before[:, :40], after[:, :40])
    assert not torch.equal(before[:, 40:], after[:, 40:])


def test_generation_with_a_cache_computes_the_same_logits(tokenizer: Tokenizer) -> None:
    model = small_model(tokenizer).eval()
    batch = collate([Piece(tokenizer, music(tokenizer), KNOWN).row(0, 64)], tokenizer.pad)
    cache = KeyValueCache()
    with torch.no_grad():
        whole = model(batch.tokens, batch.features)
        parts = [model(batch.tokens[:, :30], batch.features[:, :30], cache)]
        parts += [model(batch.tokens[:, i : i + 1], batch.features[:, i : i + 1], cache) for i in range(30, 64)]
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=1e-5, rtol=1e-4)


def test_checkpointed_activations_give_the_same_gradients(tokenizer: Tokenizer) -> None:
    batch = collate([Piece(tokenizer, music(tokenizer), KNOWN).row(0, 64)], tokenizer.pad)
    gradients = []
    for checkpointed in (False, True):
        model = small_model(tokenizer, checkpointed=checkpointed)
        torch.manual_seed(1)
        model(batch.tokens, batch.features).square().mean().backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    for stored, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(stored, recomputed)


def test_the_sum_over_windows_counts_each_token_once(tokenizer: Tokenizer) -> None:
    """With a context that holds all of the piece, windows make no difference."""
    tokens = music(tokenizer, bars=2)
    whole = small_model(tokenizer, context=512)
    nll = sequence_nll(whole, tokenizer, tokens, KNOWN)
    assert nll.shape == tokens.shape
    assert nll.mean() == pytest.approx(np.log(tokenizer.size), rel=0.05)  # untrained: nearly uniform
    narrow = small_model(tokenizer, context=48)
    narrow.load_state_dict(whole.state_dict())
    windowed = sequence_nll(narrow, tokenizer, tokens, KNOWN)
    np.testing.assert_allclose(windowed[:40], nll[:40], rtol=1e-4)
    assert (windowed > 0).all()


@given(positions=st.integers(1, 3000), window=st.integers(2, 700))
@settings(max_examples=200)
def test_sliding_windows_count_every_position_once(positions: int, window: int) -> None:
    counted = np.zeros(positions, dtype=int)
    for first, counted_from in sliding_windows(positions, window):
        end = min(first + window, positions)
        assert first <= counted_from < end
        counted[counted_from:end] += 1
    assert (counted == 1).all()


@given(positions=st.integers(1, 5000), window=st.integers(2, 700), shift=st.floats(0, 1))
@settings(max_examples=200)
def test_training_windows_are_full_and_inside_the_piece(positions: int, window: int, shift: float) -> None:
    starts = [training_start(positions, window, index, shift) for index in range(window_count(positions, window))]
    assert starts == sorted(starts)
    assert all(start >= 0 and (start + window <= positions or positions < window) for start in starts)


def test_a_piece_has_the_bars_that_were_asked_for(tokenizer: Tokenizer) -> None:
    model = small_model(tokenizer)
    pieces = generate(model, tokenizer, [KNOWN, Conditions()], 2, seed=3)
    for piece in pieces:
        assert tokenizer.sampleable[piece].all()
        assert tokenizer.decode(piece, KNOWN).end() >= 0
    if tokenizer.settings()["tokenizer"] == "grid":
        assert [tokenizer.bars(piece, KNOWN) for piece in pieces] == [2, 2]


def test_the_same_seed_draws_the_same_piece_whatever_stands_beside_it(tokenizer: Tokenizer) -> None:
    model = small_model(tokenizer)
    alone = generate(model, tokenizer, [KNOWN], 1, seed=5)
    beside = generate(model, tokenizer, [KNOWN, Conditions()], 1, seed=5)
    assert np.array_equal(alone[0], beside[0])
    assert not np.array_equal(alone[0], generate(model, tokenizer, [KNOWN], 1, seed=6)[0])


def test_a_continuation_begins_with_its_prompt(tokenizer: Tokenizer) -> None:
    prompt = tokenizer.first_bars(music(tokenizer), KNOWN, 2)
    piece = generate(small_model(tokenizer), tokenizer, [KNOWN], 4, prompts=[prompt])[0]
    assert np.array_equal(piece[: len(prompt)], prompt)
    assert len(piece) > len(prompt)


def test_a_saved_model_is_the_same_model(tokenizer: Tokenizer, tmp_path: Path) -> None:
    model = small_model(tokenizer)
    folder = open_storage(str(tmp_path / "model"))
    save_model(folder, model.config, tokenizer, dict(model.state_dict()))
    again, known = load_model(folder)
    assert again.config == model.config
    assert known.settings() == tokenizer.settings()
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in again.state_dict().items())


def test_a_folder_without_a_model_is_named_in_the_error(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="there is no published model here") as refused:
        load_model(open_storage(str(tmp_path)))
    assert str(tmp_path) in str(refused.value)
