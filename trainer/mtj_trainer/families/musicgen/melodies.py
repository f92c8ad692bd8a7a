"""The melodies of prepared recordings, computed when they are first wanted and kept, a byte a frame."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mtj_trainer.families.musicgen.melody import CHROMA, ChromaSettings, chroma, no_melody, passage

if TYPE_CHECKING:
    from mtj_trainer.prepare.codes.dataset import CodesDataset, CodesSample


class Melodies:
    """What the model hears of the recordings that codes are of.

    Args:
        codes: of the recordings.
        length: frames of chroma that the model hears.
    """

    def __init__(self, codes: CodesDataset, length: int) -> None:
        self._codes = codes
        self._length = length
        self._settings = ChromaSettings.at(codes.info.sample_rate)
        self._known: dict[tuple[str, str], npt.NDArray[np.uint8]] = {}

    def of(self, sample: CodesSample, first: int) -> npt.NDArray[np.float32]:
        """(length, 12) one-hot, of the passage from the sample's frame ``first`` of codes on."""
        name = sample.audio.unit, sample.audio.member
        if name not in self._known:
            self._known[name] = self._computed(sample).argmax(dim=1).to(torch.uint8).numpy()
        melody = torch.nn.functional.one_hot(torch.from_numpy(self._known[name]).long(), CHROMA).float()
        heard = passage(melody, round(first * self._codes.info.hop / self._settings.hop), self._length)
        return np.asarray(heard.numpy(), dtype=np.float32)

    def none(self) -> npt.NDArray[np.float32]:
        """(length, 12) where there is no melody to hear."""
        return np.asarray(no_melody(self._length).numpy(), dtype=np.float32)

    def _computed(self, sample: CodesSample) -> Tensor:
        import soundfile
        import soxr

        audio, rate = soundfile.read(
            io.BytesIO(self._codes.dataset.read(sample.audio)), dtype="float32", always_2d=True
        )
        return chroma(
            torch.from_numpy(soxr.resample(audio.mean(axis=1), rate, self._settings.sample_rate)), self._settings
        )
