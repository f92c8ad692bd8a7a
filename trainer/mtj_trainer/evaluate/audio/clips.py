"""Clips of held-out recordings, which everything that is said about audio is measured on."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from mtj_trainer.prepare.dataset import PreparedDataset, Sample, Track
from mtj_trainer.prepare.split import Side

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Clip:
    """A piece of a recording.

    Attributes:
        track: the recording.
        audio: (n,) mono samples.
        start: seconds from the recording's beginning.
    """

    track: Track
    audio: Floats
    start: float

    @property
    def title(self) -> str:
        """What a person calls the recording."""
        return self.track.title or self.track.id


def choose_clips(dataset: PreparedDataset, side: Side, count: int, seconds: float, rate: int, seed: int) -> list[Clip]:
    """Up to ``count`` beginnings of segments on a side, each of ``seconds`` or as long as its segment is.

    One of every track before a second one of any, so that few clips are of as much music as there is.
    """
    return [
        Clip(dataset.tracks[sample.track], read_mono(dataset.read(sample), rate, seconds), sample.start)
        for sample in _spread(dataset.samples("audio", side), count, seed)
    ]


def read_mono(flac: bytes, rate: int, seconds: float) -> Floats:
    """(n,) samples of the beginning of a segment, mixed down and resampled."""
    with soundfile.SoundFile(io.BytesIO(flac)) as file:
        audio = file.read(round(seconds * file.samplerate), dtype="float32", always_2d=True).mean(axis=1)
        if file.samplerate != rate:
            audio = soxr.resample(audio, file.samplerate, rate, quality="HQ")
    return np.ascontiguousarray(audio[: round(seconds * rate)], dtype=np.float32)


def _spread(samples: Sequence[Sample], count: int, seed: int) -> list[Sample]:
    of_track: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        of_track[sample.track].append(sample)
    generator = np.random.default_rng(seed)
    order = [list(of_track)[index] for index in generator.permutation(len(of_track))]
    chosen: list[Sample] = []
    for turn in range(max((len(found) for found in of_track.values()), default=0)):
        chosen += [of_track[track][turn] for track in order if turn < len(of_track[track])]
        if len(chosen) >= count:
            break
    return chosen[:count]
