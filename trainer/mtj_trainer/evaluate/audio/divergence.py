"""Kullback-Leibler divergence of what generated music is made of from what its reference is made of, in nats.

Published "KL" figures are of the labels that a tagger such as PaSST hears in a clip and in its reference; for them
pass its posteriors to ``posterior_divergence``. Without a tagger there are two plainer ones, of how a clip's energy is
spread over mel bands and over pitch classes; they are not comparable with published figures.

Invariant: a divergence is finite and at least 0, does not depend on gain, and is 0 between a clip and itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import soxr

from mtj_trainer.evaluate.audio.mel import log_mel
from mtj_trainer.prepare.audio.tonality import pitch_class_profile

Floats = npt.NDArray[np.float64]

BANDS = 64

SMOOTHING = 1e-4
"""Part of each distribution that is spread evenly, so that a band without energy does not make it infinite."""

_WINDOW, _HOP = 2048, 512
_CHROMA_RATE = 11_025


def spectral_divergence(
    generated: Sequence[npt.NDArray[np.float32]], reference: Sequence[npt.NDArray[np.float32]], rate: int
) -> float:
    """KL(reference || generated) of the share of energy in each of 64 mel bands, averaged over pairs of clips."""
    return posterior_divergence(*(np.stack([_bands(clip, rate) for clip in side]) for side in (generated, reference)))


def chroma_divergence(
    generated: Sequence[npt.NDArray[np.float32]], reference: Sequence[npt.NDArray[np.float32]], rate: int
) -> float:
    """The same of how strongly each pitch class sounds, as the key is estimated from it."""
    return posterior_divergence(*(np.stack([_chroma(clip, rate) for clip in side]) for side in (generated, reference)))


def posterior_divergence(generated: npt.ArrayLike, reference: npt.ArrayLike) -> float:
    """KL(reference || generated), averaged over rows.

    Args:
        generated, reference: (n, classes), at least 0, row i of both about the same request; rows are normalized.

    Raises:
        ValueError: shapes that differ, or a number below 0.
    """
    heard, wanted = np.asarray(generated, np.float64), np.asarray(reference, np.float64)
    if heard.shape != wanted.shape or heard.ndim != 2 or min(heard.min(initial=0), wanted.min(initial=0)) < 0:
        raise ValueError(f"distributions must be pairs of rows of at least 0, not {heard.shape} and {wanted.shape}")
    p, q = _smoothed(wanted), _smoothed(heard)
    return max(0.0, float(np.mean(np.sum(p * np.log(p / q), axis=1))))


def _bands(clip: npt.NDArray[np.float32], rate: int) -> Floats:
    loudest = max(float(np.abs(clip).max(initial=0.0)), 1e-9)  # so that the floor of levels does not depend on gain
    level = log_mel(clip / np.float32(loudest), rate, bands=BANDS, window=_WINDOW, hop=_HOP)
    return np.asarray((10.0 ** (level.astype(np.float64) / 10)).mean(axis=1))


def _chroma(clip: npt.NDArray[np.float32], rate: int) -> Floats:
    small = soxr.resample(clip, rate, _CHROMA_RATE, quality="MQ") if rate != _CHROMA_RATE else clip
    return pitch_class_profile(small, _CHROMA_RATE)


def _smoothed(rows: Floats) -> Floats:
    total = rows.sum(axis=1, keepdims=True)
    even = 1 / rows.shape[1]
    shares = np.where(total > 0, rows / np.where(total > 0, total, 1.0), even)
    return np.asarray((1 - SMOOTHING) * shares + SMOOTHING * even)
