"""The kernel audio distance: maximum mean discrepancy with a Gaussian kernel.

It assumes no distribution, and is unbiased however few clips there are (Chung et al., KAD: No More FAD!, ICML 2025;
Gretton et al., A Kernel Two-Sample Test, 2012, equation 3).

Invariant: the expected distance between two sets of the same music is 0, so that a single one may be below 0.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mtj_trainer.evaluate.audio.embedders import Embedded

Floats = npt.NDArray[np.float64]

SCALE = 100.0
"""Published distances are multiplied by so much."""

MOST_FOR_MEDIAN = 2_000
"""Rows, evenly spread, that the bandwidth is taken from: more hardly move a median."""


def kernel_distance(
    clips: Embedded,
    reference: Embedded,
    *,
    paired: bool = False,
    bandwidth: float | None = None,
) -> float:
    """The distance between two sets of clips.

    Rows of the same clip are not compared with each other: they are alike because they are one piece, and would make
    each set look closer to itself than to other music. With one row a clip this is the published distance.

    Args:
        clips, reference: each clip's (frames, D) embeddings.
        paired: clip i of both is the same music; it is then not compared with itself, and exact copies are at 0.
        bandwidth: of the kernel; by default the median distance between the reference's rows, as published.

    Raises:
        ValueError: fewer than two clips in a set, or sets of unlike size that are paired.
    """
    if min(len(clips), len(reference)) < 2:
        raise ValueError("an unbiased distance needs two clips in each set")
    if paired and len(clips) != len(reference):
        raise ValueError(f"{len(clips)} clips cannot be paired with {len(reference)}")
    (one, one_clip), (other, other_clip) = _rows(clips), _rows(reference)
    width = bandwidth if bandwidth is not None else median_distance(other)
    if width <= 0:
        raise ValueError("a Gaussian kernel needs a bandwidth above 0")
    within_one = _mean_kernel(one, one, width, one_clip, one_clip)
    within_other = _mean_kernel(other, other, width, other_clip, other_clip)
    across = _mean_kernel(one, other, width, one_clip, other_clip if paired else other_clip + len(clips))
    return SCALE * (within_one + within_other - 2 * across)


def median_distance(rows: npt.ArrayLike) -> float:
    """The median Euclidean distance between two of (n, D) rows; 1 where it is 0, since then any width is as good."""
    data = np.asarray(rows, dtype=np.float64)
    some = data[:: -(-len(data) // MOST_FOR_MEDIAN)]
    upper = np.triu_indices(len(some), k=1)
    median = float(np.sqrt(np.median(_squared_distances(some, some)[upper])))
    return median if median > 0 else 1.0


def _rows(clips: Embedded) -> tuple[Floats, npt.NDArray[np.int64]]:
    parts = [np.atleast_2d(np.asarray(clip, dtype=np.float64)) for clip in clips]
    return np.concatenate(parts), np.repeat(np.arange(len(parts)), [len(part) for part in parts])


def _mean_kernel(
    one: Floats, other: Floats, width: float, one_clip: npt.NDArray[np.int64], other_clip: npt.NDArray[np.int64]
) -> float:
    """The mean of the kernel over all pairs of rows that are of two clips."""
    total, pairs = 0.0, 0
    step = max(1, 4_000_000 // len(other))  # 32 MB at a time: all pairs of ten thousand frames are a gigabyte
    for start in range(0, len(one), step):
        kernel = np.exp(_squared_distances(one[start : start + step], other) / (-2 * width**2))
        counted = one_clip[start : start + step, None] != other_clip[None, :]
        total += float(kernel[counted].sum())
        pairs += int(counted.sum())
    return total / pairs


def _squared_distances(one: Floats, other: Floats) -> Floats:
    centre = other.mean(axis=0)  # distances do not change, and their differences keep more digits
    one, other = one - centre, other - centre
    squares = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)[None, :] - 2 * one @ other.T
    return np.asarray(np.maximum(squares, 0.0), dtype=np.float64)
