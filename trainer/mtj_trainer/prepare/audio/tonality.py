"""The key of a recording, from how strongly each pitch class sounds in it.

Overtones are the trap: the fifth and the third sound in every note. Each spectral peak therefore counts for every note
that it may be an overtone of (harmonic pitch class profile: Gomez, Tonal Description of Music Audio Signals, 2006).
Invariant: nothing here depends on the loudness of the recording, and each frame that sounds counts alike.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mtj_trainer.music.key import estimate_key
from mtj_trainer.prepare.audio.compiled import keep_compiled

_FFT = 4096  # 2.7 Hz a bin at 11 kHz: semitones apart from 55 Hz upward
_LOWEST_HZ = 55.0
_HIGHEST_HZ = 2000.0
_HARMONICS = 4
_HARMONIC_DECAY = 0.6
_SILENT_SHARE = 1e-3


def find_key(mono: npt.NDArray[np.float32], sample_rate: int) -> str | None:
    """The key of (frames,) as a whole, such as ``Cmaj`` (Krumhansl-Schmuckler); ``None`` where no pitch stands out."""
    key, correlation = estimate_key(pitch_class_profile(mono, sample_rate))
    return key if correlation > 0 else None


def pitch_class_profile(mono: npt.NDArray[np.float32], sample_rate: int) -> npt.NDArray[np.float64]:
    """(12,) how strongly each pitch class sounds, C first, for A = 440 Hz; zeros for silence."""
    keep_compiled()
    from librosa import stft  # seconds to import, and only who asks for the key needs it

    spectrum = np.abs(stft(mono, n_fft=_FFT, hop_length=_FFT // 2))
    inner = spectrum[1:-1]
    is_peak = (inner > spectrum[:-2]) & (inner >= spectrum[2:])
    frames = _weights(sample_rate)[:, 1:-1] @ np.where(is_peak, inner, 0.0)
    strength = frames.sum(axis=0)
    if not strength.any():
        return np.zeros(12)
    return np.asarray((frames / (strength + _SILENT_SHARE * strength.max())).sum(axis=1), dtype=np.float64)


def _weights(sample_rate: int) -> npt.NDArray[np.float32]:
    """(12, bins): how much a peak in each bin speaks for each pitch class."""
    hertz = np.arange(_FFT // 2 + 1) * sample_rate / _FFT
    weights = np.zeros((12, len(hertz)), dtype=np.float32)
    for harmonic in range(1, _HARMONICS + 1):
        fundamental = hertz / harmonic
        audible = (hertz <= _HIGHEST_HZ) & (fundamental >= _LOWEST_HZ)
        pitch = 69 + 12 * np.log2(np.maximum(fundamental, 1.0) / 440.0)
        nearest = np.round(pitch).astype(int)
        in_tune = np.cos(np.pi * (pitch - nearest)) ** 2
        weights[nearest % 12, np.arange(len(hertz))] += _HARMONIC_DECAY ** (harmonic - 1) * in_tune * audible
    return weights
