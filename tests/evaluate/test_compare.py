"""Distances between sets of pieces: known values, and the properties of a distance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from symusic import Note, Score, Track

from mtj_trainer.evaluate.compare import DISTANCES, distances, jensen_shannon, wasserstein
from mtj_trainer.evaluate.statistics import Statistics, statistics

histograms = st.lists(st.integers(0, 9), min_size=4, max_size=4).map(lambda h: np.array(h, dtype=np.float64))
samples = st.lists(st.floats(-50, 50), min_size=1, max_size=8).map(np.array)


def piece(*pitches: int, beats: float = 1.0) -> Statistics:
    score = Score(480)
    track = Track("melody", 0, False)
    for number, pitch in enumerate(pitches):
        track.notes.append(Note(round(number * beats * 480), round(beats * 480), pitch, 80))
    score.tracks.append(track)
    return statistics(score)


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [
        ([1, 0], [0, 1], 1.0),
        ([1, 1], [5, 5], 0.0),
        ([0, 0], [0, 0], 0.0),
        ([0, 0], [1, 0], 1.0),
        ([1, 0], [1, 1], np.sqrt((np.log2(4 / 3) + 0.5 * np.log2(2 / 3) + 0.5) / 2)),
    ],
)
def test_jensen_shannon_of_known_histograms(one: list[float], other: list[float], distance: float) -> None:
    assert jensen_shannon(np.array(one, float), np.array(other, float)) == pytest.approx(distance)


@given(one=histograms, other=histograms, third=histograms)
def test_jensen_shannon_is_a_distance(one: np.ndarray, other: np.ndarray, third: np.ndarray) -> None:
    there = jensen_shannon(one, other)
    assert 0.0 <= there <= 1.0
    assert there == pytest.approx(jensen_shannon(other, one))
    assert jensen_shannon(one, one) == pytest.approx(0.0, abs=1e-7)
    assert there <= jensen_shannon(one, third) + jensen_shannon(third, other) + 1e-7


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [([0, 1], [5, 6], 5.0), ([3], [3, 3, 3], 0.0), ([0, 10], [5], 5.0), ([1], [2, 4], 2.0)],
)
def test_wasserstein_of_known_samples(one: list[float], other: list[float], distance: float) -> None:
    assert wasserstein(np.array(one, float), np.array(other, float)) == pytest.approx(distance)


@given(one=samples, other=samples, shift=st.floats(-20, 20))
def test_wasserstein_is_a_distance_and_sees_shifts(one: np.ndarray, other: np.ndarray, shift: float) -> None:
    assert wasserstein(one, other) == pytest.approx(wasserstein(other, one))
    assert wasserstein(one, one) == 0.0
    assert wasserstein(one, one + shift) == pytest.approx(abs(shift), abs=1e-9)


def test_a_set_is_at_distance_zero_from_itself_and_further_from_what_differs_more() -> None:
    reference = [piece(60, 62, 64, 65, 67), piece(62, 64, 65, 67, 69)]
    near = [piece(60, 62, 64, 65, 69), piece(62, 64, 65, 67, 71)]
    far = [piece(30, 90, 31, beats=0.25), piece(30, 61, 99, beats=0.5)]
    assert distances(reference, reference) == pytest.approx(dict.fromkeys(DISTANCES, 0.0), abs=1e-7)
    close, wide = distances(near, reference), distances(far, reference)
    for name in ("pitch_class.distance", "rhythm.distance", "duration.distance", "range.distance"):
        assert close[name] < wide[name], name


def test_pieces_without_a_note_are_far_away_and_finite() -> None:
    found = distances([statistics(Score(480))], [piece(60, 64, 67)])
    assert found["pitch_class.distance"] == 1.0
    assert np.isfinite(list(found.values())).all()


def test_an_empty_set_has_no_distance() -> None:
    with pytest.raises(ValueError, match="empty"):
        distances([], [piece(60)])
