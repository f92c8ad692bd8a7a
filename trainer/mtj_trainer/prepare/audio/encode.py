"""Segments to FLAC in memory.

Invariant: a segment begins and ends at silence, so that no cut is heard as a click.
"""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
import soundfile


def faded(samples: npt.NDArray[np.float32], fade_frames: int) -> npt.NDArray[np.float32]:
    """A copy of (frames, channels) that rises from and falls to zero in half-cosines, at most half of it each."""
    out = samples.copy()
    length = min(fade_frames, len(samples) // 2)
    if length:
        rise = (0.5 - 0.5 * np.cos(np.pi * np.arange(length) / length)).astype(np.float32)[:, None]
        out[:length] *= rise
        out[-length:] *= rise[::-1]
    return out


def to_flac(samples: npt.NDArray[np.float32], sample_rate: int, bit_depth: int) -> bytes:
    """(frames, channels) as a FLAC file of 16 or 24 bits a sample."""
    out = io.BytesIO()
    soundfile.write(out, samples, sample_rate, format="FLAC", subtype=f"PCM_{bit_depth}")
    return out.getvalue()
