"""Tunes that no one wrote: chords and a melody of plain tones, so that pieces are alike in kind and differ in notes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

RATE = 16_000


def tune(seed: int, seconds: float, rate: int = RATE, beats_a_minute: float = 120.0) -> npt.NDArray[np.float32]:
    """(n,) four voices that change with every beat, each tone with three overtones, its peak at 0.5."""
    generator = np.random.default_rng(seed)
    frames, beat = round(seconds * rate), round(60 / beats_a_minute * rate)
    time = np.arange(beat) / rate
    decay = np.exp(-3 * time) * np.minimum(1.0, time / 0.01)
    scale = np.array([0, 2, 4, 5, 7, 9, 11]) + generator.integers(12)
    beats = []
    for _ in range(frames // beat + 1):
        pitches = 48 + generator.choice(scale, 4) + 12 * np.arange(4) // 2
        hertz = 440 * 2 ** ((pitches - 69) / 12)
        tones = [np.sin(2 * np.pi * harmonic * each * time) / harmonic for each in hertz for harmonic in (1, 2, 3, 4)]
        beats.append(np.sum(tones, axis=0) * decay)
    whole = np.concatenate(beats)[:frames]
    return np.asarray(0.5 * whole / np.abs(whole).max(), dtype=np.float32)


def low_pass(audio: npt.NDArray[np.float32], hertz: float, rate: int = RATE) -> npt.NDArray[np.float32]:
    """Fourth-order Butterworth."""
    from scipy.signal import butter, sosfilt

    return np.asarray(sosfilt(butter(4, hertz, fs=rate, output="sos"), audio), dtype=np.float32)


def noisy(audio: npt.NDArray[np.float32], decibels: float, seed: int = 0) -> npt.NDArray[np.float32]:
    """With white noise at so many dB relative to the sound."""
    noise = np.random.default_rng(seed).standard_normal(len(audio))
    return np.asarray(audio + noise * audio.std() * 10 ** (decibels / 20), dtype=np.float32)
