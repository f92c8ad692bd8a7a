"""The Fréchet distance against the textbook's computation, against known truth, and where sets are small."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from mtj_trainer.evaluate.audio.frechet import estimate_frechet, frechet_distance

Floats = npt.NDArray[np.float64]


def clips(generator: np.random.Generator, count: int, dimensions: int, shift: float = 0.0) -> Floats:
    """(count, 1, dimensions): normal, with variances that fall as those of real embeddings do."""
    deviation = np.arange(1, dimensions + 1) ** -0.75
    return np.asarray(generator.standard_normal((count, 1, dimensions)) * deviation + shift * deviation)


def textbook(one: Floats, other: Floats) -> float:
    """With scipy's root of the matrix product, as published code has it."""
    covariances = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    root = np.real(sqrtm(covariances[0] @ covariances[1]))
    means = one.mean(axis=0) - other.mean(axis=0)
    return float(means @ means + np.trace(covariances[0] + covariances[1] - 2 * root))


@pytest.mark.parametrize("dimensions", [1, 8, 128])
@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_it_is_the_textbooks_for_a_thousand_clips(dimensions: int, shift: float) -> None:
    generator = np.random.default_rng(dimensions)
    one, other = (clips(generator, 1_000, dimensions, by)[:, 0] for by in (0.0, shift))
    other = other @ (np.eye(dimensions) + 0.1 * generator.standard_normal((dimensions, dimensions)) / dimensions**0.5)
    expected = np.atleast_2d(textbook(one, other)) if dimensions > 1 else None
    if expected is None:  # two normal variables: the difference of their means and of their deviations
        expected = np.atleast_2d((one.mean() - other.mean()) ** 2 + (one.std(ddof=1) - other.std(ddof=1)) ** 2)
    assert frechet_distance(one, other) == pytest.approx(float(expected[0, 0]), rel=1e-3)


@settings(max_examples=30)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.tuples(st.integers(2, 12), st.integers(2, 12)),
    dimensions=st.integers(1, 12),
    scale=st.floats(1e-3, 1e3),
)
def test_it_is_a_squared_distance_for_any_number_of_rows(
    seed: int, rows: tuple[int, int], dimensions: int, scale: float
) -> None:
    generator = np.random.default_rng(seed)
    one, other = (scale * generator.standard_normal((count, dimensions)) for count in rows)
    size = np.sum(one.var(axis=0)) + np.sum(other.var(axis=0))
    assert frechet_distance(one, one) <= 1e-9 * size
    assert frechet_distance(one, other) >= 0
    assert frechet_distance(one, other) == pytest.approx(frechet_distance(other, one), rel=1e-6)
    turned = np.linalg.qr(generator.standard_normal((dimensions, dimensions)))[0]
    assert frechet_distance(one @ turned, other @ turned) == pytest.approx(frechet_distance(one, other), rel=1e-6)
    assert frechet_distance(2 * one, 2 * other) == pytest.approx(4 * frechet_distance(one, other), rel=1e-6)


@pytest.mark.parametrize("count", [32, 128])
@pytest.mark.parametrize("shift", [0.0, 0.4])
def test_few_clips_are_told_the_truth_about(count: int, shift: float) -> None:
    """The plain distance of few clips is far too large; the corrected one is near the truth."""
    generator = np.random.default_rng(count)
    dimensions = 32
    truth = shift**2 * float(np.sum(np.arange(1, dimensions + 1) ** -1.5))
    estimates = [
        estimate_frechet(clips(generator, count, dimensions, shift), clips(generator, count, dimensions), resamples=40)
        for _ in range(12)
    ]
    plain = np.mean([each.distance for each in estimates]) - truth
    corrected = np.mean([each.corrected for each in estimates]) - truth
    assert plain > 0
    assert abs(corrected) < 0.35 * plain
    assert all(each.low <= each.corrected <= each.high for each in estimates)
    assert sum(each.low <= truth <= each.high for each in estimates) >= 9


def test_a_model_that_gives_back_the_reference_is_at_distance_0() -> None:
    reference = clips(np.random.default_rng(0), 16, 48)
    pairs = estimate_frechet(reference, reference, paired=True, resamples=20)
    assert max(pairs.distance, pairs.corrected, pairs.low, pairs.high) < 1e-9
    alone = estimate_frechet(reference, reference, resamples=20)
    assert alone.distance == pytest.approx(0, abs=1e-9)
    assert alone.corrected == 0


def test_frames_of_a_clip_are_no_independent_witnesses() -> None:
    """Each clip said ten times over is no more music: the interval stays as wide, and rows would have it narrower."""
    generator = np.random.default_rng(1)
    one, other = clips(generator, 20, 4, 1.0), clips(generator, 20, 4)
    wide = estimate_frechet(np.repeat(one, 10, axis=1), np.repeat(other, 10, axis=1))
    narrow = estimate_frechet(np.repeat(one, 10, axis=0), np.repeat(other, 10, axis=0))
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_bands_that_are_always_silent_change_nothing() -> None:
    generator = np.random.default_rng(5)
    one, other = generator.standard_normal((60, 6)), 2 * generator.standard_normal((60, 6))
    silent = np.full((60, 2), -80.0)
    wider = frechet_distance(np.hstack([one, silent]), np.hstack([other, silent]))
    assert wider == pytest.approx(frechet_distance(one, other))


def test_the_same_seed_gives_the_same_interval() -> None:
    generator = np.random.default_rng(2)
    one, other = clips(generator, 10, 4), clips(generator, 12, 4)
    assert estimate_frechet(one, other, seed=3) == estimate_frechet(one, other, seed=3)
    assert estimate_frechet(one, other, seed=3) != estimate_frechet(one, other, seed=4)


@pytest.mark.parametrize(
    ("one", "other", "paired", "reason"),
    [
        (np.zeros((2, 1, 4)), np.zeros((3, 1, 4)), False, "three clips"),
        (np.zeros((4, 1, 4)), np.zeros((3, 1, 4)), True, "cannot be paired"),
        (np.zeros((3, 1, 4)), np.zeros((3, 1, 5)), False, "dimensions"),
        (np.full((3, 1, 4), np.nan), np.zeros((3, 1, 4)), False, "finite"),
    ],
)
def test_what_cannot_be_compared(one: Floats, other: Floats, paired: bool, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        estimate_frechet(one, other, paired=paired)
