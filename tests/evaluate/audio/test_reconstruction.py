"""Measures of a reconstruction, where the answer is known, and what Griffin-Lim makes of 64 bands."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mtj_trainer.evaluate.audio.griffin_lim import griffin_lim
from mtj_trainer.evaluate.audio.reconstruction import (
    BEST_DB,
    MEASURES,
    mean_measures,
    reconstruction_measures,
    si_sdr,
    snr,
)
from support.tunes import low_pass, noisy, tune

RATE = 16_000
MUSIC = noisy(tune(0, 3), -40)
BETTER_IS_MORE = {"snr", "si_sdr"}


def test_a_copy_is_best_in_everything() -> None:
    found = reconstruction_measures(MUSIC, MUSIC, RATE)
    assert found == dict.fromkeys(MEASURES, 0.0) | dict.fromkeys(BETTER_IS_MORE, BEST_DB)


def test_noise_of_a_known_level() -> None:
    found = reconstruction_measures(MUSIC, noisy(MUSIC, -20, seed=1), RATE)
    assert found["snr"] == pytest.approx(20, abs=0.2)
    assert found["si_sdr"] == pytest.approx(20, abs=0.2)


def test_half_the_gain() -> None:
    """Half the amplitude is 6 dB everywhere, and no distortion."""
    quiet = noisy(tune(0, 3), -10)
    found = reconstruction_measures(quiet, np.float32(0.5) * quiet, RATE)
    assert found["snr"] == pytest.approx(20 * math.log10(2), abs=1e-4)
    assert found["si_sdr"] == BEST_DB
    assert found["spectral_convergence"] == pytest.approx(0.5, abs=1e-4)
    assert found["mel_distance"] == pytest.approx(20 * math.log10(2), abs=0.01)
    assert found["log_spectral_distance"] == pytest.approx(20 * math.log10(2), abs=0.05)
    assert found["stft_distance"] == pytest.approx(0.5 + math.log(2), abs=0.01)


def test_worse_sound_is_measured_as_worse() -> None:
    rougher = [reconstruction_measures(MUSIC, noisy(MUSIC, level), RATE) for level in (-40, -20, 0)]
    duller = [reconstruction_measures(MUSIC, low_pass(MUSIC, hertz), RATE) for hertz in (7_000, 3_000, 500)]
    for name in MEASURES:
        sign = -1 if name in BETTER_IS_MORE else 1
        for measured in (rougher, duller):
            assert np.all(np.diff([each[name] for each in measured]) * sign > 0), name


@pytest.mark.parametrize(
    ("original", "reconstruction"),
    [
        (MUSIC, np.zeros_like(MUSIC)),
        (np.zeros_like(MUSIC), MUSIC),
        (np.zeros(100, np.float32), np.zeros(100, np.float32)),
        (MUSIC[:1], MUSIC[1:2]),
        (np.stack([MUSIC, MUSIC], axis=1), np.stack([MUSIC, 0 * MUSIC], axis=1)),
    ],
    ids=["silence for music", "music for silence", "silence", "one sample", "stereo"],
)
def test_all_is_finite(original: np.ndarray, reconstruction: np.ndarray) -> None:
    assert all(math.isfinite(value) for value in reconstruction_measures(original, reconstruction, RATE).values())


@pytest.mark.parametrize("measure", [snr, si_sdr])
def test_silence_is_the_worst_reconstruction_of_music_and_the_best_of_silence(measure: object) -> None:
    assert callable(measure)
    silence = np.zeros_like(MUSIC)
    assert measure(MUSIC, silence) <= 0
    assert measure(silence, MUSIC) == -BEST_DB
    assert measure(silence, silence) == BEST_DB


@pytest.mark.parametrize(("one", "other"), [(10, 11), (0, 0)])
def test_lengths_that_differ_are_refused(one: int, other: int) -> None:
    with pytest.raises(ValueError, match="not like"):
        reconstruction_measures(np.zeros(one, np.float32), np.zeros(other, np.float32), RATE)


def test_means_have_standard_errors() -> None:
    low, high = dict.fromkeys(MEASURES, 1.0), dict.fromkeys(MEASURES, 3.0)
    found = mean_measures([low, high])
    assert found["snr"] == 2
    assert found["snr.standard_error"] == pytest.approx(1)
    assert set(mean_measures([low])) == set(MEASURES)


def test_griffin_lim_gives_back_the_bands_and_nothing_of_the_phases() -> None:
    music = tune(1, 2)
    heard = griffin_lim(music, RATE)
    assert heard.shape == music.shape
    assert heard.dtype == np.float32
    np.testing.assert_array_equal(heard, griffin_lim(music, RATE))
    found = reconstruction_measures(music, heard, RATE)
    chance = reconstruction_measures(music, tune(2, 2), RATE)
    assert found["mel_distance"] < 0.5 * chance["mel_distance"]
    assert found["si_sdr"] < 0
    fewer = reconstruction_measures(music, griffin_lim(music, RATE, bands=12), RATE)
    assert found["stft_distance"] < fewer["stft_distance"]


@pytest.mark.parametrize("audio", [np.zeros(4_000, np.float32), tune(0, 0.01)], ids=["silence", "ten milliseconds"])
def test_griffin_lim_of_next_to_nothing(audio: np.ndarray) -> None:
    heard = griffin_lim(audio, RATE)
    assert heard.shape == audio.shape
    assert np.isfinite(heard).all()
