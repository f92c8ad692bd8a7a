"""Bringing a recording to a loudness (ITU-R BS.1770-4) with its peaks limited, by one gain curve.

Gain and limiter depend on each other: what the limiter takes away must be given before it. Both act on the level curves
until the loudness fits; the samples are touched once.
Invariant: no sample of the result exceeds the peak level.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from mtj_trainer.prepare.audio.levels import Curve, Levels
from mtj_trainer.prepare.audio.limiter import limiting_gain

_BLOCK_SECONDS = 0.4
_EVERY_SECONDS = 0.1  # 75 % overlap
_ABSOLUTE_GATE = 10 ** ((-70 + 0.691) / 10)
_RELATIVE_GATE = 0.1  # -10 LU
_RANGE_BLOCK_SECONDS = 3.0
_RANGE_GATE = 0.01  # -20 LU
_RANGE_PERCENTILES = (10, 95)
_CLOSE_ENOUGH_LU = 0.05
_MOST_LIMITING_DB = 30.0
_MOST_ROUNDS = 24


def integrated_loudness(power: Curve, steps_per_second: float) -> float:
    """LUFS of a K-weighted power curve, gated as in BS.1770-4; minus infinity for silence.

    A recording that is shorter than one block of 400 ms is measured as a whole.
    """
    blocks = _blocks(power, steps_per_second, _BLOCK_SECONDS)
    if not len(blocks) and len(power):
        blocks = power.mean(keepdims=True)
    loud = blocks[blocks > _ABSOLUTE_GATE]
    if not len(loud):
        return -math.inf
    return -0.691 + 10 * math.log10(loud[loud > _RELATIVE_GATE * loud.mean()].mean())


def loudness_range(power: Curve, steps_per_second: float) -> float:
    """LU from quiet to loud seconds of a K-weighted power curve (EBU Tech 3342); NaN below 3 s and in silence."""
    blocks = _blocks(power, steps_per_second, _RANGE_BLOCK_SECONDS)
    loud = blocks[blocks > _ABSOLUTE_GATE]
    if not len(loud):
        return math.nan
    low, high = np.percentile(10 * np.log10(loud[loud > _RANGE_GATE * loud.mean()]), _RANGE_PERCENTILES)
    return float(high - low)


def _blocks(power: Curve, steps_per_second: float, seconds: float) -> Curve:
    """Mean power of every whole block of so many seconds, one starting every 100 ms."""
    step = _EVERY_SECONDS * steps_per_second
    steps_a_block = round(seconds / _EVERY_SECONDS)
    count = int(len(power) / step + 1e-9) - steps_a_block + 1
    if count < 1:
        return np.zeros(0)
    energy = np.concatenate([[0.0], np.cumsum(power)])
    borders = np.interp(step * np.arange(count + steps_a_block), np.arange(len(energy)), energy)
    return np.asarray((borders[steps_a_block:] - borders[:-steps_a_block]) / (steps_a_block * step))


def mastering_gain(levels: Levels, loudness_lufs: float, peak_dbfs: float) -> Curve:
    """The gain at each border of the steps, (steps + 1,), that reaches the loudness below the peak level.

    Where limiting alone cannot reach it (a few clicks in silence), the result stays quieter.

    Raises:
        ValueError: the recording is silent.
    """
    loudness = integrated_loudness(levels.power, levels.steps_per_second)
    if math.isinf(loudness):
        raise ValueError("a silent recording has no gain that makes it loud")
    peak = 10 ** (peak_dbfs / 20)
    least = gain_db = loudness_lufs - loudness
    before: tuple[float, float] | None = None
    for _ in range(_MOST_ROUNDS):
        gain = 10 ** (gain_db / 20)
        limiting = limiting_gain(levels, peak / gain)
        reached = integrated_loudness(levels.power * gain**2 * _mean_square(limiting), levels.steps_per_second)
        short = loudness_lufs - reached
        if abs(short) < _CLOSE_ENOUGH_LU or (gain_db >= least + _MOST_LIMITING_DB and short > 0):
            break
        # Louder input never gives less, and never more than it was raised by: the slope lies between 0 and 1.
        slope = 1.0 if before is None or gain_db == before[0] else (reached - before[1]) / (gain_db - before[0])
        before = gain_db, reached
        gain_db = min(max(gain_db + short / min(max(slope, 0.1), 1.0), least), least + _MOST_LIMITING_DB)
    return gain * limiting


def apply_gain(samples: npt.NDArray[np.float32], gain: Curve, hop: int) -> None:
    """Multiply (frames, channels), in place, by a gain that goes in lines between its values every ``hop`` frames."""
    borders = gain.astype(np.float32)
    way = (np.arange(hop, dtype=np.float32) / hop)[None, :]
    block = 4096
    for first in range(0, len(gain) - 1, block):
        left = borders[first : first + block + 1]
        each = (left[:-1, None] + np.diff(left)[:, None] * way).reshape(-1, 1)
        part = samples[first * hop : (first + block) * hop]
        part *= each[: len(part)]


def _mean_square(gain: Curve) -> Curve:
    """Of a gain that goes in a line from one border to the next: (steps,)."""
    left, right = gain[:-1], gain[1:]
    return np.asarray((left * left + left * right + right * right) / 3)
