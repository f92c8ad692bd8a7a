"""How loud a recording is from moment to moment: one pass over its samples that all later decisions share.

Trimming, loudness, limiting and the search for pauses read these two curves, some 1500 values a second, and no samples.
Invariant: scaling the samples by g scales ``peak`` by g and ``power`` by g squared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pyloudnorm.iirfilter import IIRfilter
from scipy.signal import sosfilt

Curve = npt.NDArray[np.float64]

_LEAST_STEPS_A_SECOND = 1400
_STEPS_A_BLOCK = 2048  # small enough that a block's intermediate arrays stay in the cache


@dataclass(frozen=True)
class Levels:
    """Curves of one value a step of ``hop`` samples.

    Attributes:
        peak: (steps,) largest magnitude of any sample of any channel.
        power: (steps,) mean square after the K-weighting of ITU-R BS.1770, summed over channels.
        hop: samples a step; the last step may be cut short by the end of the recording.
        sample_rate: samples a second.
    """

    peak: Curve
    power: Curve
    hop: int
    sample_rate: int

    @property
    def steps_per_second(self) -> float:
        return self.sample_rate / self.hop

    def part(self, start: int, end: int) -> Levels:
        """The steps from ``start`` to before ``end``."""
        return Levels(self.peak[start:end], self.power[start:end], self.hop, self.sample_rate)


def measure_levels(samples: npt.NDArray[np.float32], sample_rate: int) -> Levels:
    """Measure (frames, channels) of one or two channels, which BS.1770 weighs alike."""
    frames, channels = samples.shape
    hop = _hop(sample_rate)
    steps = -(-frames // hop)
    peak, power = np.zeros(steps), np.zeros(steps)
    sections = _k_weighting(sample_rate)
    state = np.zeros((len(sections), channels, 2))
    for first in range(0, steps, _STEPS_A_BLOCK):
        block = samples[first * hop : (first + _STEPS_A_BLOCK) * hop]
        count = -(-len(block) // hop)
        if len(block) < count * hop:
            block = np.pad(block, ((0, count * hop - len(block)), (0, 0)))
        by_step = block.reshape(count, hop * channels)
        peak[first : first + count] = np.maximum(by_step.max(axis=1), -by_step.min(axis=1))
        weighted, state = sosfilt(sections, block.T, zi=state)
        weighted = weighted.reshape(channels, count, hop)
        power[first : first + count] = np.einsum("csh,csh->s", weighted, weighted) / hop
    return Levels(peak, power, hop, sample_rate)


def _hop(sample_rate: int) -> int:
    """Samples a step, so that the 100 ms between blocks of BS.1770 are whole steps where the rate allows that."""
    longest = max(1, sample_rate // _LEAST_STEPS_A_SECOND)
    return next((hop for hop in range(longest, longest // 2, -1) if sample_rate % (10 * hop) == 0), longest)


def _k_weighting(sample_rate: int) -> npt.NDArray[np.float64]:
    """The two biquads of ITU-R BS.1770-4, annex 1, at any rate, as second-order sections (De Man's derivation)."""
    shelf = IIRfilter(3.99984385397, 0.7071752369554193, 1681.9744509555319, sample_rate, "high_shelf_DeMan")
    high_pass = IIRfilter(0.0, 0.5003270373253953, 38.13547087613982, sample_rate, "high_pass_DeMan")
    return np.array([np.concatenate([part.b, part.a]) for part in (shelf, high_pass)])
