"""Silence is cut from both ends and sound is not."""

from __future__ import annotations

import numpy as np
import pytest

from mtj_trainer.prepare.audio.levels import measure_levels
from mtj_trainer.prepare.audio.silence import sounding_part
from support import sounds


def sounding_seconds(samples: sounds.Samples) -> tuple[float, float] | None:
    levels = measure_levels(samples, sounds.RATE)
    part = sounding_part(levels)
    return None if part is None else (part[0] / levels.steps_per_second, part[1] / levels.steps_per_second)


@pytest.mark.parametrize("level", [0.0, 1e-5, 1e-4])
def test_both_ends_are_cut_to_a_short_margin(level: float) -> None:
    samples = np.concatenate([sounds.silence(1.5), sounds.sine(3.0), sounds.silence(2.5)]) + sounds.noise(7.0, level)
    assert sounding_seconds(samples) == pytest.approx((1.45, 4.55), abs=0.05)


def test_a_fade_is_kept_until_60_db_below_the_loudest() -> None:
    fade = 10 ** (-np.arange(4 * sounds.RATE) / sounds.RATE * 20 / 20)[:, None]  # 20 dB a second
    samples = (sounds.sine(4.0, 1000, 0.9) * fade).astype(np.float32)
    assert sounding_seconds(samples) == pytest.approx((0.0, 3.05), abs=0.05)


def test_silence_within_stays() -> None:
    samples = np.concatenate([sounds.sine(1.0), sounds.silence(5.0), sounds.sine(1.0)])
    assert sounding_seconds(samples) == pytest.approx((0.0, 7.0), abs=0.01)


@pytest.mark.parametrize(
    "samples",
    [
        sounds.silence(3.0),
        sounds.noise(3.0, 1e-5),  # the last bit of 16
        sounds.sine(3.0, hertz=1.0, amplitude=0.01),
        sounds.silence(0.0),
    ],
    ids=["zeros", "dither", "infrasound", "no samples"],
)
def test_what_nobody_hears_is_silence(samples: sounds.Samples) -> None:
    assert sounding_seconds(samples) is None


def test_of_a_constant_offset_only_the_click_at_its_start_is_sound() -> None:
    found = sounding_seconds(sounds.silence(3.0) + np.float32(0.2))
    assert found is not None
    assert found[1] < 0.5
