"""The Fréchet audio distance of two sets of clips, also where they are small.

The distance of the normal distributions that have the sets' means and covariances (Kilgour et al., Fréchet Audio
Distance, Interspeech 2019). Its trace of a matrix root is the sum of the singular values of a product of two factors,
so that it is real, and as exact for fewer rows than dimensions as for more.

Invariant: a distance is finite, symmetric and at least 0, and 0 between a set and itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mtj_trainer.evaluate.audio.embedders import Embedded

Floats = npt.NDArray[np.float64]

GROUPS = 10
"""Parts of a set, each left out once, to learn the bias."""

RESAMPLES = 200
COVERAGE = 0.95


@dataclass(frozen=True)
class FrechetEstimate:
    """A distance and how far to trust it, in the embedder's unit squared.

    Attributes:
        distance: as it is published: of these clips, which is too large for few of them.
        corrected: an estimate of what it would be for clips without end; the one to compare.
        low, high: a 95 % confidence interval of ``corrected``.
    """

    distance: float
    corrected: float
    low: float
    high: float


def frechet_distance(one: npt.ArrayLike, other: npt.ArrayLike) -> float:
    """The distance between (n, D) and (m, D) embeddings, in float64.

    Raises:
        ValueError: fewer than two rows in a set, unlike dimensions, or a number that is not finite.
    """
    return _between(_Clips([np.asarray(one)]), _Clips([np.asarray(other)]))


def estimate_frechet(
    clips: Embedded,
    reference: Embedded,
    *,
    paired: bool = False,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> FrechetEstimate:
    """The distance between two sets of clips, its bias, and its confidence interval.

    The bias is the delete-a-group jackknife's. Where the truth is known (normal clips of 48 and 128 dimensions, 16 to
    256 of them) it came nearer to it, and scattered less, than extrapolating to an infinite number (Gui et al.,
    Adapting Frechet Audio Distance for Generative Music Evaluation, ICASSP 2024) and than the bootstrap's own
    correction. The interval is the bootstrap's. Both leave out or draw whole clips, because frames of one are alike.

    Args:
        clips, reference: each clip's (frames, D) embeddings; clips may differ in frames.
        paired: clip i of both is the same music, as an original and its reconstruction. Both are then drawn together,
            and exact copies are at distance 0; independent sets would be credited for their chance differences.
        resamples: of the bootstrap.
        seed: of its draws, and of the groups.

    Raises:
        ValueError: fewer than three clips in a set, sets of unlike size that are paired, or what
            ``frechet_distance`` refuses.
    """
    one, other = _Clips(clips), _Clips(reference)
    if min(one.count, other.count) < 3:
        raise ValueError("a distance with a confidence interval needs three clips in each set")
    if paired and one.count != other.count:
        raise ValueError(f"{one.count} clips cannot be paired with {other.count}")
    generator = np.random.default_rng(seed)
    distance = _between(one, other)
    corrected = max(0.0, distance - _bias(one, other, distance, paired, generator))
    drawn = np.empty(resamples)
    for index in range(resamples):
        weights = _draw(one.count, generator)
        drawn[index] = _between(one, other, weights, weights if paired else _draw(other.count, generator))
    # Resampling repeats the bias, and is centred for that reason: what it tells is the spread.
    low, high = np.quantile(drawn, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2]) - drawn.mean()
    return FrechetEstimate(distance, corrected, max(0.0, corrected - float(high)), max(0.0, corrected - float(low)))


class _Clips:
    """The rows of all clips, and which clip each belongs to."""

    def __init__(self, clips: Embedded) -> None:
        parts = [np.atleast_2d(np.asarray(clip, dtype=np.float64)) for clip in clips]
        self.count = len(parts)
        self.rows = np.concatenate(parts) if parts else np.empty((0, 0))
        self.clip = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        if not np.isfinite(self.rows).all():
            raise ValueError("embeddings must be finite")

    def normal(self, weights: Floats | None) -> tuple[Floats, Floats]:
        """The mean (D,) and a factor F, (min(rows, D), D), of the covariance F'F; clips count by their weights."""
        each = np.ones(len(self.rows)) if weights is None else weights[self.clip]
        total = each.sum()
        if total < 2:
            raise ValueError("a covariance needs two rows")
        mean = each @ self.rows / total
        used = each > 0
        factor = (self.rows[used] - mean) * np.sqrt(each[used] / (total - 1))[:, None]
        return np.asarray(mean), _square(factor)


def _square(factor: Floats) -> Floats:
    """A factor of no more rows than columns, with the same covariance."""
    rows, columns = factor.shape
    if rows <= columns:
        return factor
    try:
        return np.asarray(np.linalg.cholesky(factor.T @ factor).T)  # in a fifth of the other's time
    except np.linalg.LinAlgError:  # a dimension in which nothing varies, such as a band that is always silent
        return np.asarray(np.linalg.qr(factor, mode="r"))


def _between(one: _Clips, other: _Clips, weights: Floats | None = None, other_weights: Floats | None = None) -> float:
    if one.rows.shape[1:] != other.rows.shape[1:]:
        raise ValueError(f"embeddings of {one.rows.shape[1]} and {other.rows.shape[1]} dimensions have no distance")
    mean, factor = one.normal(weights)
    other_mean, other_factor = other.normal(other_weights)
    root = np.linalg.svd(factor @ other_factor.T, compute_uv=False).sum()
    traces = np.sum(factor**2) + np.sum(other_factor**2)
    return max(0.0, float(np.sum((mean - other_mean) ** 2) + traces - 2 * root))


def _bias(one: _Clips, other: _Clips, distance: float, paired: bool, generator: np.random.Generator) -> float:
    """How much too large ``distance`` is (Kott, The delete-a-group jackknife, 2001)."""
    bias = 0.0
    for side in (one,) if paired else (one, other):
        groups = np.array_split(generator.permutation(side.count), min(GROUPS, side.count))
        without = []
        for group in groups:
            weights = np.ones(side.count)
            weights[group] = 0.0
            first, second = (weights if paired or side is each else None for each in (one, other))
            without.append(_between(one, other, first, second))
        bias += (len(groups) - 1) * (float(np.mean(without)) - distance)
    return bias


def _draw(count: int, generator: np.random.Generator) -> Floats:
    """(count,) how often each of ``count`` clips is drawn in as many draws; never one clip alone."""
    while True:
        weights = generator.multinomial(count, np.full(count, 1 / count)).astype(np.float64)
        if np.count_nonzero(weights) > 1:
            return weights
