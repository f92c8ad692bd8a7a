"""Rendered audio: measured, judged, and packed for a web page."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soundfile

Audio = npt.NDArray[np.float32]

FULL_SCALE = 0.999
"""At this level a sample counts as clipped."""

CLIPPED_RUN = 3
"""So many clipped samples in a row are heard as distortion; a single one is a peak."""

SILENT_RMS = 1e-3
"""-60 dBFS: nobody would call this music."""

MP3_COMPRESSION = 0.8
"""Of libsndfile's 0 to 1: about 72 kbit/s in stereo, clean for a synthesizer's sounds and small in a page."""


@dataclass(frozen=True)
class Sound:
    """What was measured of a recording.

    Attributes:
        seconds: its length.
        peak: the largest absolute sample; 1.0 is full scale.
        rms: root mean square over all of it.
        clipped: longest run of samples at full scale.
    """

    seconds: float
    peak: float
    rms: float
    clipped: int

    @property
    def is_silent(self) -> bool:
        return self.rms < SILENT_RMS

    @property
    def is_clipped(self) -> bool:
        return self.clipped >= CLIPPED_RUN


def measure(audio: Audio, sample_rate: int) -> Sound:
    """Measure (N,) or (N, channels) samples at ``sample_rate`` a second."""
    if not audio.size:
        return Sound(0.0, 0.0, 0.0, 0)
    return Sound(
        seconds=len(audio) / sample_rate,
        peak=float(np.abs(audio).max()),
        rms=float(np.sqrt(np.mean(np.square(audio, dtype=np.float64)))),
        clipped=_longest_run(np.abs(audio.reshape(len(audio), -1)) >= FULL_SCALE),
    )


def to_wav(audio: Audio, sample_rate: int) -> bytes:
    """(N,) or (N, channels) samples as a 16-bit WAV file; what goes beyond full scale is cut off."""
    packed = io.BytesIO()
    soundfile.write(packed, audio, sample_rate, format="WAV", subtype="PCM_16")
    return packed.getvalue()


def to_mp3(audio: Audio, sample_rate: int) -> bytes:
    """The same as an MP3 file, which every browser plays."""
    packed = io.BytesIO()
    soundfile.write(packed, audio, sample_rate, format="MP3", compression_level=MP3_COMPRESSION)
    return packed.getvalue()


def _longest_run(flags: npt.NDArray[np.bool_]) -> int:
    """The longest stretch of true values in any column."""
    closed = np.pad(flags, ((1, 1), (0, 0))).astype(np.int8)
    longest = 0
    for column in closed.T:
        edges = np.flatnonzero(np.diff(column))
        longest = max(longest, int(np.max(edges[1::2] - edges[::2], initial=0)))
    return longest
