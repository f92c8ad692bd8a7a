"""Divergences: nats that can be worked out by hand, and what they do not hear."""

from __future__ import annotations

import math

import pytest

from mtj_trainer.evaluate.audio.divergence import chroma_divergence, posterior_divergence, spectral_divergence
from support.tunes import RATE, low_pass, tune


def test_it_is_the_reference_that_is_to_be_explained() -> None:
    generated, reference = [[0.5, 0.5]], [[0.9, 0.1]]
    by_hand = 0.9 * math.log(0.9 / 0.5) + 0.1 * math.log(0.1 / 0.5)
    assert posterior_divergence(generated, reference) == pytest.approx(by_hand, rel=1e-3)
    assert posterior_divergence(reference, generated) != pytest.approx(by_hand, rel=0.05)
    assert posterior_divergence([[5, 5], [9, 1]], [[9, 1], [9, 1]]) == pytest.approx(by_hand / 2, rel=1e-3)


def test_it_is_finite_where_a_class_is_missing_and_for_silence() -> None:
    assert 1 < posterior_divergence([[1.0, 0.0]], [[0.0, 1.0]]) < 20
    assert posterior_divergence([[0.0, 0.0]], [[0.0, 0.0]]) == 0


@pytest.mark.parametrize("divergence", [spectral_divergence, chroma_divergence])
def test_gain_is_not_heard(divergence: object) -> None:
    assert callable(divergence)
    music = [tune(seed, 3) for seed in range(2)]
    assert divergence(music, music, RATE) == 0
    assert divergence([0.1 * clip for clip in music], music, RATE) == pytest.approx(0, abs=1e-4)


def test_bands_hear_what_is_cut_off_and_pitch_classes_hear_the_key() -> None:
    music = tune(0, 4)
    other_key = tune(0, 4, rate=round(RATE * 2 ** (6 / 12)))[: len(music)]  # the same piece, six semitones away
    dull = low_pass(music, 1_500)
    assert chroma_divergence([other_key], [music], RATE) > 4 * chroma_divergence([dull], [music], RATE)
    assert spectral_divergence([low_pass(music, 300)], [music], RATE) > 0.1


@pytest.mark.parametrize(("one", "other"), [([[1.0]], [[0.5, 0.5]]), ([[-1.0, 2.0]], [[0.5, 0.5]])])
def test_what_is_no_pair_of_distributions(one: list[list[float]], other: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="pairs of rows"):
        posterior_divergence(one, other)
