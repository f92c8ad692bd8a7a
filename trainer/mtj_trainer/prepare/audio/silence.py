"""Where the sound of a recording begins and ends.

Silence is what no listener misses: K-weighted, so that rumble and a constant offset count as silence too.
Invariant: what is cut lies wholly below both thresholds.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter1d

from mtj_trainer.prepare.audio.levels import Levels

_ABSOLUTE_LUFS = -70.0  # the absolute gate of BS.1770: nothing below counts as sound
_BELOW_LOUDEST_DB = 60.0  # as librosa.effects.trim
_WINDOW_SECONDS = 0.02
_KEPT_SECONDS = 0.05  # before the first attack and after the last decay


def sounding_part(levels: Levels) -> tuple[int, int] | None:
    """First step of sound and the step after the last, with a short margin; ``None`` for a silent recording."""
    if not len(levels.power):
        return None
    window = max(1, round(_WINDOW_SECONDS * levels.steps_per_second))
    power = uniform_filter1d(levels.power, window, mode="constant")
    threshold = max(10 ** ((_ABSOLUTE_LUFS + 0.691) / 10), power.max() * 10 ** (-_BELOW_LOUDEST_DB / 10))
    sounding = np.flatnonzero(power > threshold)
    if not len(sounding):
        return None
    margin = round(_KEPT_SECONDS * levels.steps_per_second)
    return max(0, int(sounding[0]) - margin), min(len(power), int(sounding[-1]) + 1 + margin)
