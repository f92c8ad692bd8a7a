"""The kernel distance: unbiased, for single rows and for clips of many, and 0 for copies that are paired."""

from __future__ import annotations

import numpy as np
import pytest

from mtj_trainer.evaluate.audio.kernel import SCALE, kernel_distance, median_distance


def test_it_is_the_published_sum_over_pairs() -> None:
    generator = np.random.default_rng(0)
    one, other = generator.standard_normal((5, 3)), generator.standard_normal((7, 3)) + 1
    width = np.median([np.linalg.norm(other[i] - other[j]) for i in range(7) for j in range(i)])

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.exp(-np.sum((a - b) ** 2) / (2 * width**2)))

    within_one = np.mean([kernel(one[i], one[j]) for i in range(5) for j in range(5) if i != j])
    within_other = np.mean([kernel(other[i], other[j]) for i in range(7) for j in range(7) if i != j])
    across = np.mean([kernel(a, b) for a in one for b in other])
    expected = 100 * (within_one + within_other - 2 * across)
    assert median_distance(other) == pytest.approx(width)
    assert kernel_distance(one[:, None], other[:, None]) == pytest.approx(expected)
    assert SCALE == 100


@pytest.mark.parametrize(("count", "frames"), [(4, 1), (16, 1), (6, 10)])
def test_equal_music_is_at_0_on_average_however_few_clips(count: int, frames: int) -> None:
    generator = np.random.default_rng(count + frames)

    def clips() -> np.ndarray:  # frames of a clip are alike
        return generator.standard_normal((count, 1, 8)) + 0.3 * generator.standard_normal((count, frames, 8))

    found = np.array([kernel_distance(clips(), clips()) for _ in range(60)])
    assert abs(found.mean()) < 3 * found.std(ddof=1) / np.sqrt(len(found))
    shifted = np.array([kernel_distance(clips() + 1.0, clips()) for _ in range(20)])
    assert shifted.mean() > 10 * abs(found.mean())


def test_paired_copies_are_at_0() -> None:
    music = np.random.default_rng(1).standard_normal((5, 4, 8))
    assert kernel_distance(music, music, paired=True) == pytest.approx(0, abs=1e-9)


def test_silence_has_a_distance_too() -> None:
    assert kernel_distance(np.zeros((3, 2, 4)), np.zeros((3, 2, 4))) == pytest.approx(0)


@pytest.mark.parametrize(
    ("one", "other", "paired", "width", "reason"),
    [
        (1, 2, False, None, "two clips"),
        (3, 2, True, None, "cannot be paired"),
        (2, 2, False, 0.0, "bandwidth"),
    ],
)
def test_what_cannot_be_compared(one: int, other: int, paired: bool, width: float | None, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        kernel_distance(np.ones((one, 1, 2)), np.ones((other, 1, 2)), paired=paired, bandwidth=width)
