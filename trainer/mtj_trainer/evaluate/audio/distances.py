"""How far a set of clips is from held-out music, by each embedder that a job names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import soxr

from mtj_trainer.evaluate.audio.embedders import Embedder
from mtj_trainer.evaluate.audio.frechet import estimate_frechet
from mtj_trainer.evaluate.audio.kernel import kernel_distance

Floats = npt.NDArray[np.float32]

NORMAL = 1.96
"""Standard deviations to either side that hold 95 % of a normal distribution."""

FEWEST = 3
"""Clips in a set: fewer have no distance that means anything."""


def embed_clips(embedder: Embedder, clips: Sequence[Floats], rate: int) -> list[Floats]:
    """(frames, D) of each (n,) clip."""
    if embedder.rate != rate:
        clips = [soxr.resample(clip, rate, embedder.rate, quality="HQ") for clip in clips]
    return [embedder.embed(clip) for clip in clips]


def distance_figures(
    embedder: Embedder, clips: Sequence[Floats], reference: Sequence[Floats], *, paired: bool = False
) -> dict[str, float]:
    """Distances of embedded clips.

    Args:
        paired: clip i of both is the same music.

    Returns:
        ``fad.NAME``: Fréchet audio distance, corrected for how few clips there are. ``fad.NAME.low``, ``.high``: its
        95 % interval. ``fad.NAME.standard_error``: of a normal distribution with such an interval. ``fad.NAME.raw``:
        without the correction. ``kad.NAME``: kernel audio distance. None of them for fewer than three clips.
    """
    if min(len(clips), len(reference)) < FEWEST:
        return {}
    name = embedder.name
    found = estimate_frechet(clips, reference, paired=paired)
    return {
        f"fad.{name}": found.corrected,
        f"fad.{name}.low": found.low,
        f"fad.{name}.high": found.high,
        f"fad.{name}.standard_error": (found.high - found.low) / 2 / NORMAL,
        f"fad.{name}.raw": found.distance,
        f"kad.{name}": kernel_distance(clips, reference, paired=paired),
    }
