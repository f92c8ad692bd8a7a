"""The key of a piece from how much each pitch class sounds: the Krumhansl-Schmuckler algorithm.

Invariant: transposing the weights by n semitones transposes the estimate by n semitones.
Source: Krumhansl, Cognitive Foundations of Musical Pitch (1990), chapter 4, whose probe-tone ratings are the table.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

MAJOR_PROFILE = np.array([6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88])
"""How well each pitch class fits a major key, from the tonic upward in semitones."""

MINOR_PROFILE = np.array([6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17])
"""The same for a minor key."""

TONICS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
"""One spelling a pitch class, the one with the fewest accidentals over both modes."""

KEYS = tuple(f"{tonic}maj" for tonic in TONICS) + tuple(f"{tonic}min" for tonic in TONICS)
"""The twenty-four names that an estimate may have: major keys from C upward, then minor ones."""


def _standardised_profiles() -> npt.NDArray[np.float64]:
    rows = [np.roll(profile, tonic) for profile in (MAJOR_PROFILE, MINOR_PROFILE) for tonic in range(12)]
    matrix = np.stack(rows)
    matrix -= matrix.mean(axis=1, keepdims=True)
    return np.asarray(matrix / np.linalg.norm(matrix, axis=1, keepdims=True), dtype=np.float64)


_PROFILES = _standardised_profiles()


def estimate_key(pitch_class_weights: npt.ArrayLike) -> tuple[str, float]:
    """The key whose profile correlates best with how much each pitch class sounds.

    Args:
        pitch_class_weights: (12,) durations, counts or energies from C upward, none of them negative.

    Returns:
        One of ``KEYS`` and the correlation with its profile, in -1 to 1. Weights that are all equal (silence too)
        have no key: they give the first of ``KEYS`` with correlation 0.

    Raises:
        ValueError: not twelve finite numbers, or a negative one.
    """
    correlations = key_correlations(pitch_class_weights)
    best = int(np.argmax(correlations))
    return KEYS[best], float(correlations[best])


def key_correlations(pitch_class_weights: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """(24,) how well the weights fit each of ``KEYS``, as a correlation; zeros where all weights are equal.

    Raises:
        ValueError: not twelve finite numbers, or a negative one.
    """
    weights = np.asarray(pitch_class_weights, dtype=np.float64)
    if weights.shape != (12,) or not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError(f"pitch-class weights must be 12 finite numbers of at least 0, not {pitch_class_weights!r}")
    centred = weights - weights.mean()
    norm = np.linalg.norm(centred)
    if norm <= 1e-12 * max(1.0, float(weights.max())):
        return np.zeros(len(KEYS))
    return np.asarray(_PROFILES @ (centred / norm), dtype=np.float64)
