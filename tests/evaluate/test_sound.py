"""Measuring audio: silence, clipping and length, and that an MP3 keeps the music."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from mtj_trainer.evaluate.sound import measure, to_mp3

RATE = 8_000
TONE = (0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE * 2) / RATE)).astype(np.float32)


def test_a_tone() -> None:
    sound = measure(np.stack([TONE, TONE], axis=1), RATE)
    assert sound.seconds == 2.0
    assert sound.peak == pytest.approx(0.5, abs=1e-3)
    assert sound.rms == pytest.approx(0.5 / np.sqrt(2), abs=1e-3)
    assert not sound.is_silent
    assert not sound.is_clipped


@pytest.mark.parametrize(
    ("audio", "silent", "clipped"),
    [
        (np.zeros((RATE, 2), np.float32), True, False),
        (np.zeros((0, 2), np.float32), True, False),
        (TONE * 0.001, True, False),
        (np.clip(TONE * 4, -1, 1), False, True),
        (np.where(np.arange(len(TONE)) == 7, 1.0, TONE).astype(np.float32), False, False),
        (np.stack([TONE, np.clip(-TONE * 4, -1, 1)], axis=1), False, True),
    ],
    ids=["zeros", "nothing", "faint", "overdriven", "one peak", "one channel overdriven"],
)
def test_silence_and_clipping(audio: np.ndarray, silent: bool, clipped: bool) -> None:
    sound = measure(audio, RATE)
    assert (sound.is_silent, sound.is_clipped) == (silent, clipped)


def test_an_mp3_keeps_length_and_level() -> None:
    stereo = np.stack([TONE, TONE], axis=1)
    decoded, rate = soundfile.read(io.BytesIO(to_mp3(stereo, 44_100)), always_2d=True)
    assert rate == 44_100
    assert len(decoded) / rate == pytest.approx(len(TONE) / 44_100, abs=0.06)
    assert measure(decoded.astype(np.float32), rate).rms == pytest.approx(measure(stereo, rate).rms, rel=0.05)
