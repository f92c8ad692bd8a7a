"""The beats and the tempo of a recording.

Invariant: nothing here depends on the loudness of the recording.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mtj_trainer.prepare.audio.compiled import keep_compiled

_FFT = 1024  # with the hop, 93 and 23 ms at 11 kHz: what librosa takes at 22
_HOP = 256
_MEL_BANDS = 96
_LONGEST_PERIOD_SECONDS = 4.0
_FEWEST_BEATS = 4


@dataclass(frozen=True)
class Rhythm:
    """What moves in a recording.

    Attributes:
        spectra: (mel bands, frames) in dB.
        frames_per_second: of ``spectra``.
        beat_seconds: (beats,) ascending.
        tempo: beats a minute as a listener would tap them, or ``None`` where nothing pulses.
    """

    spectra: npt.NDArray[np.float32]
    frames_per_second: float
    beat_seconds: npt.NDArray[np.float64]
    tempo: float | None


def find_rhythm(mono: npt.NDArray[np.float32], sample_rate: int) -> Rhythm:
    """Beats of (frames,) as librosa finds them (Ellis, Beat tracking by dynamic programming, 2007), and their tempo."""
    keep_compiled()
    from librosa import autocorrelate, power_to_db  # seconds to import, and many recordings never need it
    from librosa.beat import beat_track
    from librosa.feature import melspectrogram, tempo
    from librosa.onset import onset_strength

    power = melspectrogram(y=mono, sr=sample_rate, n_fft=_FFT, hop_length=_HOP, n_mels=_MEL_BANDS)
    spectra = power_to_db(power)
    onsets = onset_strength(S=spectra, sr=sample_rate, n_fft=_FFT, hop_length=_HOP)
    rate = sample_rate / _HOP
    if not onsets.any():
        return Rhythm(spectra, rate, np.zeros(0), None)
    # One autocorrelation of the whole instead of one a frame, as librosa would: the same peak, a fiftieth of the work.
    repeats = autocorrelate(onsets - onsets.mean(), max_size=round(_LONGEST_PERIOD_SECONDS * rate))
    likely = tempo(tg=np.maximum(repeats, 0.0)[:, None] / repeats[0], sr=sample_rate, hop_length=_HOP)
    _, frames = beat_track(onset_envelope=onsets, sr=sample_rate, hop_length=_HOP, bpm=likely)
    beat_seconds = np.asarray(frames, dtype=np.float64) / rate
    return Rhythm(spectra, rate, beat_seconds, _tempo(beat_seconds))


def _tempo(beat_seconds: npt.NDArray[np.float64]) -> float | None:
    """From the slope of a line through the beats, which is finer than the 23 ms grid that each beat lies on."""
    if len(beat_seconds) < _FEWEST_BEATS:
        return None
    seconds_a_beat = np.polyfit(np.arange(len(beat_seconds)), beat_seconds, 1)[0]
    return float(60.0 / seconds_a_beat)
