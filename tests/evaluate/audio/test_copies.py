"""Copies of training music are found however they were played back, and other music of the same kind is not."""

from __future__ import annotations

import numpy as np
import pytest

from mtj_trainer.evaluate.audio.copies import (
    LEAST_COPY,
    MOST_UNRELATED,
    Likeness,
    copy_figures,
    copy_limit,
    find_copies,
    fingerprint,
)
from support.tunes import RATE, low_pass, noisy, tune

PIECES = [tune(seed, 20) for seed in range(12)]
TRAINING = [fingerprint(piece, RATE) for piece in PIECES]
HELDOUT = [fingerprint(tune(seed, 8), RATE) for seed in range(100, 110)]


def excerpt(piece: int, start: float, seconds: float = 8.0) -> np.ndarray:
    return PIECES[piece][round(start * RATE) : round((start + seconds) * RATE)]


@pytest.mark.parametrize(
    "played_back",
    [
        lambda audio: audio,
        lambda audio: 0.05 * audio,
        lambda audio: noisy(low_pass(audio, 3_000), -20),
        lambda audio: noisy(low_pass(audio, 2_000), -8),
    ],
    ids=["as it is", "softly", "through a codec", "through a poor codec"],
)
def test_an_excerpt_is_found_and_where_it_is_from(played_back: object) -> None:
    assert callable(played_back)
    starts = (0.0, 3.137, 7.951)
    copies = find_copies([fingerprint(played_back(excerpt(4, start)), RATE) for start in starts], TRAINING)
    limit = copy_limit([each.similarity for each in find_copies(HELDOUT, TRAINING)])
    for start, found in zip(starts, copies, strict=True):
        assert found.similarity > limit
        assert found.training == 4
        assert found.training_at - found.at == pytest.approx(start, abs=0.1)


def test_five_seconds_inside_other_music_are_found() -> None:
    sample = np.concatenate([tune(200, 4), excerpt(7, 2, 7.5), tune(201, 4)])
    (found,) = find_copies([fingerprint(sample, RATE)], TRAINING)
    assert found.similarity > 0.9
    assert found.training == 7


def test_other_music_of_the_same_kind_is_no_copy() -> None:
    others = find_copies([fingerprint(tune(seed, 8), RATE) for seed in range(300, 310)], TRAINING)
    figures = copy_figures(others, find_copies(HELDOUT, TRAINING))
    assert figures["copies.share"] == 0
    assert figures["floor.copies.share"] == 0
    assert figures["copies.similarity.highest"] < LEAST_COPY


def test_silence_and_steady_tones_are_no_copies_of_each_other() -> None:
    time = np.arange(8 * RATE) / RATE
    still = [np.zeros(8 * RATE, np.float32), np.sin(2 * np.pi * 440 * time).astype(np.float32)]
    prints = [fingerprint(each, RATE) for each in still]
    assert all(found.similarity < LEAST_COPY for found in find_copies(prints, prints))


def test_less_than_five_seconds_is_like_nothing() -> None:
    short = fingerprint(tune(0, 3), RATE)
    nothing = Likeness(0.0, None, 0.0, 0.0)
    assert find_copies([short], TRAINING) == [nothing]
    assert find_copies([HELDOUT[0]], [short]) == [nothing]
    assert find_copies([HELDOUT[0]], []) == [nothing]
    assert find_copies([], TRAINING) == []


def test_a_fingerprint_does_not_depend_on_the_sample_rate() -> None:
    found = find_copies([fingerprint(tune(5, 8, rate=44_100), 44_100)], [fingerprint(tune(5, 8, rate=32_000), 32_000)])
    assert found[0].similarity > 0.98


@pytest.mark.parametrize(
    ("unrelated", "limit"),
    [
        ([], MOST_UNRELATED),
        ([0.2, 0.25, 0.3, 0.22], LEAST_COPY),
        ([0.5, 0.55, 0.6, 0.52, 0.57, 0.58, 0.99], pytest.approx(0.74, abs=0.05)),
        ([0.85, 0.86, 0.87], MOST_UNRELATED),
    ],
    ids=["none", "unlike", "rather like, with a leak", "all alike"],
)
def test_the_limit_is_what_unrelated_music_reaches(unrelated: list[float], limit: float) -> None:
    assert copy_limit(unrelated) == limit


def test_figures_say_how_many_are_beyond_it() -> None:
    def at(similarity: float) -> Likeness:
        return Likeness(similarity, 0, 0.0, 0.0)

    figures = copy_figures([at(0.95), at(0.3)], [at(0.3), at(0.32), at(0.31)])
    assert figures["copies.share"] == 0.5
    assert figures["copies.similarity.highest"] == 0.95
    assert figures["floor.copies.similarity"] == pytest.approx(0.31)
    assert "floor.copies.share" not in copy_figures([at(0.5)], [])
