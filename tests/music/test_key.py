"""Key estimation: what every musician agrees on, and that it turns with the music."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mtj_trainer.music import KEYS, estimate_key, key_correlations

weights = st.lists(st.integers(0, 20), min_size=12, max_size=12)


@pytest.mark.parametrize(
    ("sounding", "key"),
    [
        ({0: 4, 2: 1, 4: 3, 5: 1, 7: 3, 9: 1, 11: 1}, "Cmaj"),
        ({9: 4, 11: 1, 0: 3, 2: 1, 4: 3, 5: 1, 8: 1}, "Amin"),
        ({6: 4, 8: 1, 10: 3, 11: 1, 1: 3, 3: 1, 5: 1}, "F#maj"),
        ({3: 2, 7: 1, 10: 1}, "Ebmaj"),
        ({1: 2, 4: 1, 8: 1}, "C#min"),
    ],
)
def test_scales_and_triads_with_their_tonic_in_front(sounding: dict[int, int], key: str) -> None:
    classes = np.zeros(12)
    classes[list(sounding)] = list(sounding.values())
    found, fit = estimate_key(classes)
    assert found == key
    assert 0.5 < fit <= 1.0


@given(weights=weights, semitones=st.integers(0, 11))
def test_transposing_transposes(weights: list[int], semitones: int) -> None:
    before, after = key_correlations(weights), key_correlations(np.roll(weights, semitones))
    turned = np.concatenate([np.roll(before[:12], semitones), np.roll(before[12:], semitones)])
    np.testing.assert_allclose(after, turned, atol=1e-12)


@given(weights=weights, scale=st.floats(0.01, 1000))
def test_loudness_does_not_matter(weights: list[int], scale: float) -> None:
    assume(len(set(weights)) > 1)
    np.testing.assert_allclose(key_correlations(weights), key_correlations(np.array(weights) * scale), atol=1e-9)


@pytest.mark.parametrize("flat", [np.zeros(12), np.ones(12), np.full(12, 1e-9)])
def test_weights_that_are_all_equal_have_no_key(flat: np.ndarray) -> None:
    assert estimate_key(flat) == ("Cmaj", 0.0)


@pytest.mark.parametrize("wrong", [np.zeros(11), np.full(12, np.nan), [-1.0] + [0.0] * 11, np.zeros((1, 12))])
def test_what_is_no_weight_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="12 finite numbers"):
        estimate_key(wrong)  # type: ignore[arg-type]


def test_there_are_twenty_four_keys() -> None:
    assert len(set(KEYS)) == 24
    assert KEYS[0] == "Cmaj"
    assert KEYS[12] == "Cmin"
