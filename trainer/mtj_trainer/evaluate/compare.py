"""How far one set of pieces is from another, feature by feature.

Invariant: a distance is finite, symmetric, at least 0, and 0 between a set and itself. A set is judged against
held-out music, and the distance from training music to held-out music is the floor that a perfect imitator has.
Source: Yang & Lerch, On the evaluation of generative models in music (2020).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mtj_trainer.evaluate.statistics import Statistics

Floats = npt.NDArray[np.float64]

DISTANCES = {
    "pitch_class.distance": "pitch classes, Jensen-Shannon distance (0 to 1)",
    "rhythm.distance": "inter-onset intervals, Jensen-Shannon distance (0 to 1)",
    "duration.distance": "note lengths, Jensen-Shannon distance (0 to 1)",
    "range.distance": "lowest and highest note, semitones",
    "polyphony.distance": "notes sounding together, notes",
    "density.distance": "notes a beat, notes",
    "repetition.distance": "repeated motifs, share (0 to 1)",
}
"""What ``distances`` returns, with the unit of each."""


def distances(pieces: Sequence[Statistics], reference: Sequence[Statistics]) -> dict[str, float]:
    """How far ``pieces`` are from ``reference``: one number for each name in ``DISTANCES``.

    Shares are averaged over a set, each piece counting once; single numbers are compared as distributions.

    Raises:
        ValueError: one of the sets is empty.
    """
    if not pieces or not reference:
        raise ValueError("an empty set of pieces has no distance to another")

    def histogram(feature: str) -> float:
        one, other = (np.mean([getattr(p, feature) for p in pieces_], axis=0) for pieces_ in (pieces, reference))
        return jensen_shannon(one, other)

    def number(feature: str) -> float:
        one, other = (np.array([float(getattr(p, feature)) for p in pieces_]) for pieces_ in (pieces, reference))
        return wasserstein(one, other)

    return {
        "pitch_class.distance": histogram("pitch_classes"),
        "rhythm.distance": histogram("inter_onsets"),
        "duration.distance": histogram("durations"),
        "range.distance": (number("lowest") + number("highest")) / 2,
        "polyphony.distance": number("polyphony"),
        "density.distance": number("notes_per_beat"),
        "repetition.distance": number("repetition"),
    }


def jensen_shannon(one: Floats, other: Floats) -> float:
    """The Jensen-Shannon distance, in 0 to 1, of two histograms (Lin 1991; the root of the divergence in bits).

    They need not be normalized. An empty histogram is at distance 1 from any other, and 0 from an empty one.
    """
    if not one.any() or not other.any():
        return 0.0 if not one.any() and not other.any() else 1.0
    p, q = one / one.sum(), other / other.sum()
    middle = (p + q) / 2
    divergence = (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2
    return float(np.sqrt(np.clip(divergence, 0.0, 1.0)))


def wasserstein(one: Floats, other: Floats) -> float:
    """The mean distance that the values of one sample must move to become the other's, in their own unit."""
    values = np.sort(np.concatenate([one, other]))
    below_one = np.searchsorted(np.sort(one), values[:-1], side="right") / len(one)
    below_other = np.searchsorted(np.sort(other), values[:-1], side="right") / len(other)
    return float(np.sum(np.abs(below_one - below_other) * np.diff(values)))


def _relative_entropy(p: Floats, q: Floats) -> float:
    some = p > 0
    return float(np.sum(p[some] * np.log2(p[some] / q[some])))
