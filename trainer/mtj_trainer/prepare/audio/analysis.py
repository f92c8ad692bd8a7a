"""What is heard over minutes, from a small copy of the recording: its rhythm and its key.

Invariant: each is found when it is first asked for, and not again; a recording that needs neither costs nothing.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt
import soxr

from mtj_trainer.prepare.audio.rhythm import Rhythm, find_rhythm
from mtj_trainer.prepare.audio.tonality import find_key

_RATE = 11_025  # no beat and no tonic needs more


class Analysis:
    """Of (frames, channels) at a sample rate."""

    def __init__(self, samples: npt.NDArray[np.float32], sample_rate: int) -> None:
        self._samples = samples
        self._sample_rate = sample_rate

    @cached_property
    def rhythm(self) -> Rhythm:
        return find_rhythm(self._small_copy, _RATE)

    @cached_property
    def key(self) -> str | None:
        """Such as ``Cmaj``; ``None`` where no pitch stands out."""
        return find_key(self._small_copy, _RATE)

    @cached_property
    def _small_copy(self) -> npt.NDArray[np.float32]:
        """(frames,) at the small rate, with its peak at 1."""
        mono = mean_of_channels(self._samples)
        if self._sample_rate != _RATE:
            mono = soxr.resample(mono, self._sample_rate, _RATE, quality="MQ")
        return np.asarray(mono / max(float(np.abs(mono).max(initial=0.0)), 1e-9), dtype=np.float32)


def mean_of_channels(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(frames, channels) to (frames,); as a product, for numpy's mean over two values is eight times slower."""
    channels = samples.shape[1]
    return samples @ np.full(channels, 1.0 / channels, dtype=np.float32)
