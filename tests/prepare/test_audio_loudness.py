"""Loudness as pyloudnorm and the EBU's own test signals have it; peaks that no sample exceeds."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pyloudnorm
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtj_trainer.prepare.audio.levels import Levels, measure_levels
from mtj_trainer.prepare.audio.limiter import limiting_gain
from mtj_trainer.prepare.audio.loudness import apply_gain, integrated_loudness, loudness_range, mastering_gain
from support import sounds


def loudness_of(samples: sounds.Samples, rate: int = sounds.RATE) -> float:
    levels = measure_levels(samples, rate)
    return integrated_loudness(levels.power, levels.steps_per_second)


def meter(samples: sounds.Samples, rate: int = sounds.RATE) -> float:
    return float(pyloudnorm.Meter(rate, filter_class="DeMan").integrated_loudness(samples.astype(np.float64)))


def mastered(samples: sounds.Samples, lufs: float, peak: float, rate: int = sounds.RATE) -> sounds.Samples:
    levels = measure_levels(samples, rate)
    result = samples.copy()
    apply_gain(result, mastering_gain(levels, lufs, peak), levels.hop)
    return result


def dbfs(amplitude: float) -> float:
    return 20 * math.log10(amplitude)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize(
    "make",
    [
        lambda rate: sounds.noise(5.0, rate=rate),
        lambda rate: sounds.sine(3.3, hertz=60, rate=rate),
        lambda rate: sounds.sine(4.0, hertz=2000, channels=1, rate=rate),
        lambda rate: np.concatenate([sounds.noise(3.0, rate=rate), sounds.silence(9.0, rate=rate)]),
        lambda rate: np.concatenate([sounds.noise(3.0, 0.2, rate=rate), sounds.noise(9.0, 0.02, rate=rate)]),
        lambda rate: sounds.clicks(6.0, rate=rate),
    ],
    ids=["noise", "rumble", "mono", "half silent", "two levels", "clicks"],
)
def test_integrated_loudness_agrees_with_pyloudnorm(make: Callable[[int], sounds.Samples], rate: int) -> None:
    samples = make(rate)
    assert loudness_of(samples, rate) == pytest.approx(meter(samples, rate), abs=0.05)


@pytest.mark.parametrize(
    ("levels_dbfs", "lufs"),
    [
        ([(-23, 20)], -23.0),
        ([(-33, 20)], -33.0),
        ([(-36, 10), (-23, 60), (-36, 10)], -23.0),
        ([(-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)], -23.0),
        ([(-26, 20), (-20, 20.1), (-26, 20)], -23.0),
    ],
)
def test_integrated_loudness_of_the_signals_of_ebu_tech_3341(
    levels_dbfs: list[tuple[float, float]], lufs: float
) -> None:
    """Stereo tones of 1 kHz, as (dBFS, seconds); table 1, cases 1 to 5, within the 0.1 LU that the table asks for."""
    rate = 48_000
    parts = [sounds.sine(seconds, 1000, 10 ** (level / 20), rate=rate) for level, seconds in levels_dbfs]
    assert loudness_of(np.concatenate(parts), rate) == pytest.approx(lufs, abs=0.1)


@pytest.mark.parametrize(
    ("levels_dbfs", "lu"),
    [((-20, -30), 10.0), ((-20, -15), 5.0), ((-40, -20), 20.0), ((-50, -35, -20, -35, -50), 15.0)],
)
def test_loudness_range_of_the_signals_of_ebu_tech_3342(levels_dbfs: tuple[float, ...], lu: float) -> None:
    """Stereo tones of 1 kHz, 20 s each; table 1, cases 1 to 4, within the 1 LU that the table asks for."""
    parts = [sounds.sine(20, 1000, 10 ** (level / 20), rate=48_000) for level in levels_dbfs]
    levels = measure_levels(np.concatenate(parts), 48_000)
    assert loudness_range(levels.power, levels.steps_per_second) == pytest.approx(lu, abs=1.0)


def test_silence_has_no_loudness_and_no_gain() -> None:
    levels = measure_levels(sounds.silence(2.0), sounds.RATE)
    assert integrated_loudness(levels.power, levels.steps_per_second) == -math.inf
    assert math.isnan(loudness_range(levels.power, levels.steps_per_second))
    with pytest.raises(ValueError, match="silent"):
        mastering_gain(levels, -14.0, -1.0)


@pytest.mark.parametrize("frames", [1, 29, 30, 31, 61_439, 61_440, 61_441, 61_480])
def test_levels_cover_every_sample(frames: int) -> None:
    samples = np.zeros((frames, 2), dtype=np.float32)
    samples[-1, 1] = -0.75
    levels = measure_levels(samples, sounds.RATE)
    assert len(levels.peak) == len(levels.power) == math.ceil(frames / levels.hop)
    assert levels.peak[-1] == 0.75


@pytest.mark.parametrize("lufs", [-23.0, -14.0, -9.0])
@pytest.mark.parametrize(
    "samples",
    [
        sounds.noise(6.0, 0.01),
        sounds.noise(6.0, 0.4),
        sounds.sine(6.0, amplitude=0.01),
        np.concatenate([sounds.noise(4.0, 0.02), sounds.noise(0.3, 0.9), sounds.noise(4.0, 0.02)]),
        sounds.noise(8.0, 0.03) + sounds.clicks(8.0),
        np.concatenate([sounds.sine(3.0, 220, 0.02), sounds.silence(2.0), sounds.sine(3.0, 110, 0.9)]),
        sounds.noise(6.0, 3.0),
    ],
    ids=["quiet noise", "loud noise", "quiet tone", "burst", "clicks in noise", "two tones", "beyond full scale"],
)
def test_loudness_is_reached_and_no_peak_passes(samples: sounds.Samples, lufs: float) -> None:
    result = mastered(samples, lufs, -1.0)
    assert dbfs(float(np.abs(result).max())) <= -1.0 + 1e-3
    assert meter(result) == pytest.approx(lufs, abs=0.5)


def test_where_limiting_cannot_reach_the_loudness_the_peaks_still_hold() -> None:
    result = mastered(sounds.clicks(6.0, beats_a_minute=60), -6.0, -1.0)
    assert dbfs(float(np.abs(result).max())) <= -1.0 + 1e-3
    assert -40.0 < meter(result) < -6.0


def test_without_need_the_limiter_changes_nothing_but_the_gain() -> None:
    samples = sounds.sine(4.0, amplitude=0.05)
    result = mastered(samples, -20.0, -1.0)
    np.testing.assert_allclose(result, samples * (result[1000, 0] / samples[1000, 0]), rtol=1e-5, atol=1e-9)


@settings(deadline=None, max_examples=60)
@given(
    peaks=st.lists(st.floats(0.0, 20.0), min_size=1, max_size=400),
    limit=st.floats(0.05, 5.0),
    rate=st.sampled_from([8_000, 44_100, 192_000]),
)
def test_no_limited_peak_is_over_the_limit(peaks: list[float], limit: float, rate: int) -> None:
    hop = max(1, rate // 1500)
    levels = Levels(np.array(peaks), np.zeros(len(peaks)), hop, rate)
    gain = limiting_gain(levels, limit)
    assert gain.shape == (len(peaks) + 1,)
    assert gain.max() <= 1.0
    assert (levels.peak * np.maximum(gain[:-1], gain[1:])).max() <= limit * (1 + 1e-9)


def test_the_gain_falls_before_a_peak_and_returns_after_it() -> None:
    peaks = np.full(3000, 0.5)
    peaks[1500] = 2.0
    levels = Levels(peaks, np.zeros(3000), 29, sounds.RATE)
    gain = limiting_gain(levels, 1.0)
    assert gain[1500] == pytest.approx(0.5)
    assert gain[1480] == 1.0  # no earlier than the look-ahead of 5 ms, twice
    assert 0.5 < gain[1560] < 1.0  # still letting go
    assert gain[1500 + 400] == 1.0
    assert np.abs(np.diff(20 * np.log10(gain))).max() < 2.0  # dB in 0.7 ms: smooth enough not to click


def test_gain_is_interpolated_between_borders() -> None:
    samples = np.ones((10, 1), dtype=np.float32)
    apply_gain(samples, np.array([1.0, 0.0, 2.0, 2.0]), 4)
    np.testing.assert_allclose(samples[:, 0], [1, 0.75, 0.5, 0.25, 0, 0.5, 1, 1.5, 2, 2])
