"""Places in a recording where a cut does no harm: pauses, changes of sound, beats.

Invariant: a mark lies before the attack that follows it, and its worth orders the kinds: pause, change, beat.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.signal import find_peaks

from mtj_trainer.prepare.audio.levels import Levels
from mtj_trainer.prepare.audio.rhythm import Rhythm
from mtj_trainer.prepare.audio.segment import Mark

PAUSE_WORTH = 0.6
"""The least worth of a pause; one of half a second or more is worth 1."""

_PAUSE_BELOW_DB = 9.0
_SHORT_SECONDS = 0.03
_AROUND_SECONDS = 6.0
_SHORTEST_PAUSE_SECONDS = 0.06
_LONG_PAUSE_SECONDS = 0.5
_CHANGE_WORTH = 0.5
_CHANGE_AROUND_SECONDS = 4.0
_BEAT_WORTH = 0.15
_BEFORE_BEAT_SECONDS = 0.02


def pauses(levels: Levels) -> list[Mark]:
    """Where the sound falls well below what it is around: the longer the gap, the likelier a phrase ends there."""
    short = max(1, round(_SHORT_SECONDS * levels.steps_per_second))
    around = max(1, round(_AROUND_SECONDS * levels.steps_per_second))
    power = np.maximum(uniform_filter1d(levels.power, short, mode="nearest"), 0.0)
    usual = np.maximum(uniform_filter1d(levels.power, around, mode="nearest"), 0.0)
    low = np.concatenate([[False], power < usual * 10 ** (-_PAUSE_BELOW_DB / 10), [False]])
    borders = np.flatnonzero(np.diff(low.astype(np.int8)))
    marks = []
    for start, end in zip(borders[::2], borders[1::2], strict=True):
        seconds = (end - start) / levels.steps_per_second
        if seconds >= _SHORTEST_PAUSE_SECONDS:
            quietest = (
                end - 1 - int(np.argmin(power[start:end][::-1]))
            )  # the last of equals: nearest to the next phrase
            worth = PAUSE_WORTH + (1 - PAUSE_WORTH) * min(seconds / _LONG_PAUSE_SECONDS, 1.0)
            marks.append(Mark(int(quietest) * levels.hop, worth))
    return marks


def changes(rhythm: Rhythm, sample_rate: int) -> list[Mark]:
    """Where the spectrum of the seconds before differs most from that of the seconds after.

    This is Foote's novelty (Automatic audio segmentation using a measure of audio novelty, ICME 2000) for a kernel
    without taper: on inner products of spectra the checkerboard sum is the squared distance of the two sums.
    """
    spectra = rhythm.spectra
    width = round(_CHANGE_AROUND_SECONDS * rhythm.frames_per_second)
    if spectra.shape[1] < 2 * width:
        return []
    sums = np.cumsum(np.pad(spectra, ((0, 0), (1, 0))), axis=1, dtype=np.float64)
    before = sums[:, width:-width] - sums[:, : -2 * width]
    after = sums[:, 2 * width :] - sums[:, width:-width]
    novelty = np.linalg.norm(after - before, axis=0)
    peaks, _ = find_peaks(novelty, distance=width, prominence=novelty.std() or np.inf)
    times = (peaks + width) / rhythm.frames_per_second
    if len(rhythm.beat_seconds):  # a change is smeared over seconds; the beat next to it is not
        times = rhythm.beat_seconds[np.abs(rhythm.beat_seconds[None, :] - times[:, None]).argmin(axis=1)]
    return [Mark(_before(time, sample_rate), _CHANGE_WORTH) for time in times]


def beats(rhythm: Rhythm, sample_rate: int) -> list[Mark]:
    """Every beat."""
    return [Mark(_before(time, sample_rate), _BEAT_WORTH) for time in rhythm.beat_seconds]


def _before(seconds: float, sample_rate: int) -> int:
    return max(0, round((seconds - _BEFORE_BEAT_SECONDS) * sample_rate))
