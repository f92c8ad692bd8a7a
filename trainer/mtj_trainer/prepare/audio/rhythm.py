"""Beats and tempo of a recording, and its key: what is heard over minutes, estimated from a small copy of it.

Invariant: nothing here depends on the loudness of the recording.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import soxr

from mtj_trainer.music.key import estimate_key

ANALYSIS_RATE = 22_050
"""Samples a second of the small copy: no beat and no tonic needs more."""

_HOP = 512
_FFT = 2048
_MELS = 128
_KEY_FFT = 8192
_FEWEST_BEATS = 4


@dataclass(frozen=True)
class Rhythm:
    """What moves in a recording.

    Attributes:
        spectra: (mel bands, frames) in dB.
        beat_seconds: (beats,) ascending.
        tempo: quarter notes a minute as a listener would tap them, or ``None`` where nothing pulses.
        frames_per_second: of ``spectra``.
    """

    spectra: npt.NDArray[np.float32]
    beat_seconds: npt.NDArray[np.float64]
    tempo: float | None
    frames_per_second: float


class Analysis:
    """A recording's rhythm and key, each found when it is first asked for and not again."""

    def __init__(self, samples: npt.NDArray[np.float32], sample_rate: int) -> None:
        """Of (frames, channels)."""
        self._samples = samples
        self._sample_rate = sample_rate

    @cached_property
    def rhythm(self) -> Rhythm:
        return find_rhythm(self._small)

    @cached_property
    def key(self) -> str | None:
        return find_key(self._small)

    @cached_property
    def _small(self) -> npt.NDArray[np.float32]:
        return small_copy(self._samples, self._sample_rate)


def small_copy(samples: npt.NDArray[np.float32], sample_rate: int) -> npt.NDArray[np.float32]:
    """(frames, channels) to (frames,) at ``ANALYSIS_RATE``, with the peak at 1."""
    mono = samples.mean(axis=1)
    if sample_rate != ANALYSIS_RATE:
        mono = soxr.resample(mono, sample_rate, ANALYSIS_RATE, quality="MQ")
    return np.asarray(mono / max(float(np.abs(mono).max(initial=0.0)), 1e-9), dtype=np.float32)


def find_rhythm(mono: npt.NDArray[np.float32]) -> Rhythm:
    """Beats as librosa finds them (Ellis, Beat tracking by dynamic programming, 2007), and the tempo from the beats."""
    import librosa.beat  # seconds to import, and many recordings never need it
    import librosa.onset

    power = librosa.feature.melspectrogram(y=mono, sr=ANALYSIS_RATE, n_fft=_FFT, hop_length=_HOP, n_mels=_MELS)
    spectra = librosa.power_to_db(power)
    onsets = librosa.onset.onset_strength(S=spectra, sr=ANALYSIS_RATE, hop_length=_HOP)
    rate = ANALYSIS_RATE / _HOP
    if not onsets.any():
        return Rhythm(spectra, np.zeros(0), None, rate)
    _, frames = librosa.beat.beat_track(onset_envelope=onsets, sr=ANALYSIS_RATE, hop_length=_HOP, trim=True)
    beat_seconds = np.asarray(frames, dtype=np.float64) / rate
    return Rhythm(spectra, beat_seconds, _tempo(beat_seconds), rate)


def find_key(mono: npt.NDArray[np.float32]) -> str | None:
    """The key over the whole recording, such as ``Cmaj``; ``None`` where no pitch stands out."""
    import librosa

    magnitude = np.abs(librosa.stft(mono, n_fft=_KEY_FFT, hop_length=_KEY_FFT // 2))
    chroma = librosa.feature.chroma_stft(S=magnitude, sr=ANALYSIS_RATE, n_fft=_KEY_FFT, tuning=0.0, norm=None)
    key, correlation = estimate_key(chroma.sum(axis=1))
    return key if correlation > 0 else None


def _tempo(beat_seconds: npt.NDArray[np.float64]) -> float | None:
    """From the slope of a line through the beats, which is finer than the 23 ms grid that each beat lies on."""
    if len(beat_seconds) < _FEWEST_BEATS:
        return None
    seconds_a_beat = np.polyfit(np.arange(len(beat_seconds)), beat_seconds, 1)[0]
    return float(60.0 / seconds_a_beat)
