"""Whether samples are copies of training music: each stretch of a sample against all training music, at every shift.

A fingerprint is how strongly each semitone sounds in each tenth of a second. Two stretches of five seconds are compared
by the correlation of their fingerprints after the mean of each semitone and of each moment is taken off both: what
remains is which notes come when. So gain, equalization, noise, the way through a codec and a beat that is merely
shared change it little; another key or tempo changes it wholly, and is not found.

What counts as a copy is learnt from music: the similarities of held-out pieces to the training music are what unrelated
pieces of this kind reach, and a sample beyond them is flagged.

Invariant: a similarity lies in -1 to 1, and a stretch of training music reaches 1 with itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soxr

Floats = npt.NDArray[np.float32]

FRAMES_PER_SECOND = 10
STRETCH_SECONDS = 5.0

_RATE = 8_000
_FFT, _HOP = 2048, _RATE // FRAMES_PER_SECOND  # 3.9 Hz a bin: semitones apart from 220 Hz upward
_LOWEST_HZ, _SEMITONES = 220.0, 48
_COMPRESSION = 0.3
"""Power of the magnitude, about that of loudness: quiet notes count, noise below them hardly."""

_STRETCH = round(STRETCH_SECONDS * FRAMES_PER_SECOND)
_STEP = _STRETCH // 4
_STILL = 0.02
"""A stretch in which less than this part of the energy moves has no pattern that could be copied."""

MOST_UNRELATED = 0.9
"""Above it a stretch is a copy whatever other music reaches."""

LEAST_COPY = 0.7
"""Below it nothing is a copy: settings of the same chorale tune reach 0.67, an excerpt under noise at -5 dB 0.82."""

_DEVIATIONS = 4.0


@dataclass(frozen=True)
class Likeness:
    """The stretch of a sample that is most like training music.

    Attributes:
        similarity: their correlation, in -1 to 1; 0 where the sample holds no five seconds of anything.
        training: index of the training piece, or ``None`` where there is none to be like.
        at, training_at: seconds into the sample and into that piece, where the stretch begins.
    """

    similarity: float
    training: int | None
    at: float
    training_at: float


def fingerprint(audio: Floats, rate: int) -> Floats:
    """(frames, 48) how strongly each semitone from 220 Hz sounds in each tenth of a second of (n,) samples."""
    small = soxr.resample(audio, rate, _RATE, quality="LQ") if rate != _RATE else audio
    padded = np.pad(small, (_FFT // 2, _FFT // 2))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FFT)[::_HOP]
    spectrum = np.abs(np.fft.rfft(frames * np.hanning(_FFT).astype(np.float32), axis=1))
    return np.asarray((spectrum @ _semitone_filters()) ** _COMPRESSION, dtype=np.float32)


def find_copies(samples: Sequence[Floats], training: Sequence[Floats]) -> list[Likeness]:
    """For each sample's fingerprint, the stretch of it that is most like any training fingerprint."""
    stretches = [_stretches(sample) for sample in samples]
    starts = np.concatenate([_starts(sample) for sample in samples] or [np.empty(0, np.int64)])
    owners = np.repeat(np.arange(len(samples)), [len(each) for each in stretches])
    best = np.zeros(len(owners), np.float32)
    where = np.zeros((len(owners), 2), np.int64)
    if len(owners):
        queries = np.concatenate(stretches).reshape(len(owners), -1)
        for index, piece in enumerate(training):
            similarity = _similarities(queries, piece)
            if similarity.shape[1]:
                shift = similarity.argmax(axis=1)
                highest = similarity[np.arange(len(owners)), shift]
                better = highest > best
                best[better] = highest[better]
                where[better] = np.stack([np.full(len(shift), index), shift], axis=1)[better]
    return [_likeness(best, where, starts, np.flatnonzero(owners == number)) for number in range(len(samples))]


def copy_limit(unrelated: Sequence[float]) -> float:
    """The similarity beyond which a sample is a copy, from those of held-out pieces of the same length.

    Four robust standard deviations above their median, on Fisher's scale; a few held-out pieces that are in the
    training music after all do not raise it.
    """
    if len(unrelated) < 3:
        return MOST_UNRELATED
    scale = np.arctanh(np.clip(unrelated, -0.999, 0.999))
    median = np.median(scale)
    deviation = 1.4826 * np.median(np.abs(scale - median))
    return float(np.clip(np.tanh(median + _DEVIATIONS * deviation), LEAST_COPY, MOST_UNRELATED))


def copy_figures(samples: Sequence[Likeness], heldout: Sequence[Likeness]) -> dict[str, float]:
    """Figures of samples beside held-out music.

    Returns:
        ``copies.similarity``, ``copies.similarity.highest``: mean and highest of the samples. ``copies.limit``: what
        counts as a copy. ``copies.share``: of the samples that are beyond it. ``floor.copies.*``: the same of held-out
        pieces; a share above 0 there says that the split leaks.
    """
    limit = copy_limit([each.similarity for each in heldout])
    figures = {"copies.limit": limit}
    for prefix, found in (("", samples), ("floor.", heldout)):
        if found:
            values = np.array([each.similarity for each in found])
            figures[f"{prefix}copies.similarity"] = float(values.mean())
            figures[f"{prefix}copies.similarity.highest"] = float(values.max())
            figures[f"{prefix}copies.share"] = float(np.mean(values > limit))
    return figures


def _semitone_filters() -> Floats:
    """(bins, 48) triangles between the neighbouring semitones, or a bin wide where these are nearer."""
    hertz = np.fft.rfftfreq(_FFT, 1 / _RATE)[:, None]
    centre = _LOWEST_HZ * 2 ** (np.arange(_SEMITONES) / 12)
    width = np.maximum(centre * (2 ** (1 / 12) - 1), _RATE / _FFT)
    return np.asarray(np.maximum(0.0, 1 - np.abs(hertz - centre) / width), dtype=np.float32)


def _starts(fingerprints: Floats) -> npt.NDArray[np.int64]:
    """Frames at which stretches begin: a quarter of their length apart, and the last one at the end."""
    last = len(fingerprints) - _STRETCH
    return np.append(np.arange(0, last, _STEP), last) if last >= 0 else np.empty(0, np.int64)


def _stretches(fingerprints: Floats) -> Floats:
    """(stretches, 50, semitones) of (frames, semitones), centred and of length 1."""
    cut = np.empty((0, _STRETCH, fingerprints.shape[1]), np.float32)
    if len(starts := _starts(fingerprints)):
        cut = np.stack([fingerprints[start : start + _STRETCH] for start in starts])
    centred = (
        cut - cut.mean(axis=1, keepdims=True) - cut.mean(axis=2, keepdims=True) + cut.mean(axis=(1, 2), keepdims=True)
    )
    size = np.maximum(np.linalg.norm(centred, axis=(1, 2)), np.sqrt(_STILL) * np.linalg.norm(cut, axis=(1, 2)))
    return np.asarray(centred / np.maximum(size, 1e-9)[:, None, None], dtype=np.float32)


def _similarities(queries: Floats, piece: Floats) -> Floats:
    """(queries, shifts) correlations of centred queries, flat, with each stretch of a piece.

    A query is centred, so that its product with a stretch is its product with the centred stretch; only the length of
    the latter is needed besides, and that comes from running sums.
    """
    shifts = len(piece) - _STRETCH + 1
    if shifts < 1:
        return np.empty((len(queries), 0), np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(piece.reshape(-1), _STRETCH * piece.shape[1])[:: piece.shape[1]]
    return np.asarray(queries @ windows.T / _lengths(piece), dtype=np.float32)


def _lengths(piece: Floats) -> npt.NDArray[np.float64]:
    """(shifts,) the length of each centred stretch of (frames, semitones)."""
    data = piece.astype(np.float64)
    semitones = data.shape[1]

    def running(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        sums = np.cumsum(np.concatenate([np.zeros_like(values[:1]), values]), axis=0)
        return np.asarray(sums[_STRETCH:] - sums[:-_STRETCH])

    energy = running((data**2).sum(axis=1))
    of_semitones = (running(data) ** 2).sum(axis=1) / _STRETCH
    of_moments = running(data.sum(axis=1) ** 2) / semitones
    of_all = running(data.sum(axis=1)) ** 2 / (_STRETCH * semitones)
    moving = np.maximum(energy - of_semitones - of_moments + of_all, _STILL * energy)
    return np.asarray(np.sqrt(np.maximum(moving, 1e-18)))


def _likeness(
    best: Floats, where: npt.NDArray[np.int64], starts: npt.NDArray[np.int64], own: npt.NDArray[np.int64]
) -> Likeness:
    if not len(own) or best[own].max() <= 0:
        return Likeness(0.0, None, 0.0, 0.0)
    first = int(own[best[own].argmax()])
    piece, shift = where[first]
    at, there = float(starts[first] / FRAMES_PER_SECOND), float(shift / FRAMES_PER_SECOND)
    return Likeness(min(1.0, float(best[first])), int(piece), at, there)
