"""A look-ahead peak limiter: the gain curve that keeps every sample at or below a level.

The reduction that each step needs (dB) is let go at a constant rate, spread over the look-ahead, and smoothed by a
kernel no wider than that spread, so that the smooth curve is nowhere less than what was needed (the look-ahead limiter
of Zoelzer, DAFX, 2nd edition, chapter 4, with running maxima in place of its recursions).
Invariant: a sample times its interpolated gain never exceeds the limit.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from mtj_trainer.prepare.audio.levels import Curve, Levels

_LOOK_AHEAD_SECONDS = 0.005
_RELEASE_DB_A_SECOND = 60.0


def limiting_gain(levels: Levels, limit: float) -> Curve:
    """Gains at the borders of the steps, (steps + 1,), at most 1; between two borders the gain goes in a line."""
    steps = len(levels.peak)
    if not steps or levels.peak.max() <= limit:
        return np.ones(steps + 1)
    needed = 20 * np.log10(np.maximum(levels.peak / limit, 1.0))
    at_borders = np.maximum(np.append(needed, 0.0), np.insert(needed, 0, 0.0))
    fall = _RELEASE_DB_A_SECOND / levels.steps_per_second * np.arange(steps + 1)
    released = np.maximum(np.maximum.accumulate(at_borders + fall) - fall, at_borders)
    half = max(2, 2 * round(_LOOK_AHEAD_SECONDS * levels.steps_per_second / 2))
    spread = maximum_filter1d(released, 2 * half + 1, mode="nearest")
    smooth = uniform_filter1d(uniform_filter1d(spread, half + 1, mode="nearest"), half + 1, mode="nearest")
    return np.asarray(10 ** (-np.maximum(smooth, at_borders) / 20))
