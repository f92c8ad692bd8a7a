"""Where a recording is cut: equal lengths, each cut drawn to a mark of the music that lies near it.

Segment k runs from ``overlap`` before cut k - 1 to cut k: it ends where a phrase does, and repeats the end of the one
before as context. Which marks are taken is decided for all cuts together, by dynamic programming.
Invariant: every sample is covered, every length is within its bounds, and the overlap is the one that was asked for;
only where no number of segments can have all three (31 s in pieces of exactly 10 s) is the overlap longer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from mtj_api.spec import Segmentation

_UNEVENNESS_WEIGHT = 3.0
"""What a segment that is twice as long as the others costs; a third more or less costs a third of a phrase end."""


@dataclass(frozen=True)
class Mark:
    """A place where a cut is good.

    Attributes:
        frame: the sample before which to cut.
        worth: how good, from 0 (no better than anywhere) to 1 (the end of a phrase).
    """

    frame: int
    worth: float


@dataclass(frozen=True)
class Span:
    """Samples from ``start`` to before ``end``."""

    start: int
    end: int


def plan_segments(frames: int, sample_rate: int, segmentation: Segmentation, marks: Iterable[Mark] = ()) -> list[Span]:
    """Cut ``frames`` samples into segments.

    Args:
        frames: length of the recording, at least the shortest segment.
        sample_rate: samples a second.
        segmentation: bounds and overlap, in seconds.
        marks: good places, in any order.

    Raises:
        ValueError: the recording is shorter than the shortest segment.
    """
    shortest = math.ceil(segmentation.min_seconds * sample_rate - 1e-6)
    longest = max(shortest, math.floor(segmentation.max_seconds * sample_rate + 1e-6))
    overlap = min(round(segmentation.overlap_seconds * sample_rate), shortest - 1)
    if frames < shortest:
        raise ValueError(f"{frames} samples are fewer than the {shortest} of the shortest segment")
    # Without the overlap, which stands before its first sample, a recording is `count` steps between cuts.
    way, short_step, long_step = frames - overlap, shortest - overlap, longest - overlap
    fewest, most = -(-way // long_step), way // short_step
    if fewest > most:
        starts = [(frames - shortest) * k // (fewest - 1) for k in range(fewest)]
        return [Span(start, start + shortest) for start in starts]
    typical = (short_step + long_step) / 2
    count = min(max(round(way / typical), fewest), most)
    cuts = _choose_cuts(overlap, frames, count, (short_step, long_step), sorted(marks, key=lambda mark: mark.frame))
    return [Span(before - overlap, cut) for before, cut in zip([overlap, *cuts], [*cuts, frames], strict=True)]


def _choose_cuts(start: int, end: int, count: int, bounds: tuple[int, int], marks: Sequence[Mark]) -> list[int]:
    """The ``count`` - 1 cuts between ``start`` and ``end`` of greatest worth, their distances within ``bounds``."""
    way = end - start
    equal = [start + way * k // count for k in range(count + 1)]
    frames = np.array([mark.frame for mark in marks], dtype=np.int64)
    worths = np.array([mark.worth for mark in marks])
    stages = [(np.array([start]), np.zeros(1))]
    for k in range(1, count):
        near = slice(*np.searchsorted(frames, [equal[k] - way // (2 * count) + 1, equal[k] + way // (2 * count)]))
        places = np.append(frames[near], equal[k])  # the equal cut is always possible
        stages.append((places, np.append(worths[near], 0.0)))
    stages.append((np.array([end]), np.zeros(1)))

    best, came_from = stages[0][1], []
    for (before, _), (places, worth) in pairwise(stages):
        value = best[None, :] + worth[:, None] - _cost(places[:, None] - before[None, :], way / count, bounds)
        came_from.append(value.argmax(axis=1))
        best = value.max(axis=1)
    chosen, cuts = 0, []
    for (before, _), origin in zip(reversed(stages[:-1]), reversed(came_from), strict=True):
        chosen = int(origin[chosen])
        cuts.append(int(before[chosen]))
    return cuts[-2::-1]


def _cost(steps: npt.NDArray[np.int64], mean: float, bounds: tuple[int, int]) -> npt.NDArray[np.float64]:
    cost = _UNEVENNESS_WEIGHT * ((steps - mean) / mean) ** 2
    return np.where((steps >= bounds[0]) & (steps <= bounds[1]), cost, np.inf)
