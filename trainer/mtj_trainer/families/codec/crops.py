"""The data stream: crops of a data set's recordings.

An epoch has as many crops as it takes to hear all of the music once, of each segment its share; where in its segment
a crop begins is drawn anew in each epoch. Only the crop is decoded: FLAC finds a sample in half a millisecond.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soundfile
import torch
from torch import Tensor

from mtj_trainer.prepare.dataset import PreparedDataset, Sample

MOST_VALIDATION_CROPS = 256
"""More would take longer and hardly change the mean."""


@dataclass(frozen=True)
class CropBatch:
    """Crops of equal length.

    Attributes:
        audio: (B, N), of whole frames.
        counted: codes that the codec makes of them: frames times codebooks.
    """

    audio: Tensor
    counted: int

    def to(self, device: torch.device) -> CropBatch:
        return self if device.type == "cpu" else CropBatch(self.audio.to(device, non_blocking=True), self.counted)


class Crops:
    """Training crops by position in an endless stream, and validation crops, which are always the same.

    Args:
        dataset: with mono segments.
        sample_rate: of the segments.
        length: of a crop, in samples; a shorter segment is followed by silence.
        seed: of all that is drawn.
    """

    def __init__(self, dataset: PreparedDataset, sample_rate: int, length: int, seed: int) -> None:
        self._dataset = dataset
        self._length = length
        self._seed = seed
        self._samples = dataset.samples("audio", "train")
        counts = [max(1, round(sample.length * sample_rate / length)) for sample in self._samples]
        self._sample_of = np.repeat(np.arange(len(counts)), counts)
        self._order: tuple[int, npt.NDArray[np.int64]] | None = None

    def __len__(self) -> int:
        """Crops an epoch."""
        return len(self._sample_of)

    def training(self, positions: Sequence[int]) -> Tensor:
        """(B, N): the crops at these positions, a pure function of them."""
        return torch.from_numpy(np.stack([self._training(*divmod(position, len(self))) for position in positions]))

    def files(self, positions: Sequence[int]) -> list[str]:
        """The source files of the crops at these positions."""
        examples = (self._shuffled(epoch)[index] for epoch, index in (divmod(p, len(self)) for p in positions))
        tracks = (self._samples[self._sample_of[example]].track for example in examples)
        return [self._dataset.tracks[track].file_path for track in tracks]

    def validation(self) -> list[Sample]:
        """The segments whose middle is a validation crop: all, or as many evenly spread ones as are enough."""
        samples = self._dataset.samples("audio", "validation")
        step = max(1, -(-len(samples) // MOST_VALIDATION_CROPS))
        return samples[::step]

    def middle(self, samples: Sequence[Sample]) -> Tensor:
        """(B, N): the middle of each segment."""
        return torch.from_numpy(np.stack([self._read(sample, 0.5) for sample in samples]))

    def _training(self, epoch: int, index: int) -> npt.NDArray[np.float32]:
        example = int(self._shuffled(epoch)[index])
        share = float(np.random.default_rng([self._seed, epoch, example]).random())
        return self._read(self._samples[self._sample_of[example]], share)

    def _shuffled(self, epoch: int) -> npt.NDArray[np.int64]:
        order = self._order
        if order is None or order[0] != epoch:
            self._order = order = epoch, np.random.default_rng([self._seed, epoch]).permutation(len(self))
        return order[1]

    def _read(self, sample: Sample, share: float) -> npt.NDArray[np.float32]:
        """A crop that begins at ``share`` of the places where it can begin."""
        crop = np.zeros(self._length, dtype=np.float32)
        with soundfile.SoundFile(io.BytesIO(self._dataset.read(sample))) as sound:
            sound.seek(round(share * max(0, sound.frames - self._length)))
            heard = sound.read(self._length, dtype="float32")
        crop[: len(heard)] = heard
        return crop
