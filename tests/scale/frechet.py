"""What a Fréchet distance costs: beside the matrix root by ``scipy.linalg.sqrtm``, as published code has it.

Run ``python tests/scale/frechet.py``: both in turn within one process, so that both meet the same machine; medians of
the rounds are compared. A thousand clips of 128 (VGGish), 512 (CLAP) and 768 (MERT) dimensions, and fewer clips than
dimensions. Prints one JSON object of CPU seconds, with how far the two results are apart.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.linalg import sqrtm

from mtj_trainer.evaluate.audio.frechet import estimate_frechet, frechet_distance

ROUNDS = 5
CASES = {
    "1000 of 128": (1_000, 128),
    "1000 of 512": (1_000, 512),
    "1000 of 768": (1_000, 768),
    "100 of 512": (100, 512),
}

Floats = npt.NDArray[np.float64]


def published(one: Floats, other: Floats) -> float:
    covariances = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    root = np.real(sqrtm(covariances[0] @ covariances[1]))
    means = one.mean(axis=0) - other.mean(axis=0)
    return float(means @ means + np.trace(covariances[0] + covariances[1] - 2 * root))


def cpu_seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    generator = np.random.default_rng(0)
    rows = {}
    for name, (clips, dimensions) in CASES.items():
        deviation = np.arange(1, dimensions + 1) ** -0.75
        one, other = (generator.standard_normal((clips, dimensions)) * deviation + by for by in (0.0, 0.1))
        rounds = [
            (
                cpu_seconds(lambda: frechet_distance(one, other)),  # noqa: B023 - called at once
                cpu_seconds(lambda: published(one, other)),  # noqa: B023
            )
            for _ in range(ROUNDS)
        ]
        ours, theirs = (statistics.median(column) for column in zip(*rounds, strict=True))
        expected = published(one, other)
        rows[name] = {
            "ours": round(ours, 4),
            "sqrtm": round(theirs, 4),
            "ratio": round(theirs / ours, 1),
            "relative difference": abs(frechet_distance(one, other) / expected - 1),
        }
    few = [generator.standard_normal((19, 48)) for _ in range(32)]
    rows["16 and 16 clips of 10 s, with bias and interval"] = {
        "ours": round(cpu_seconds(lambda: estimate_frechet(few[:16], few[16:])), 3)
    }
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
