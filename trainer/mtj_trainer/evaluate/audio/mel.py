"""Spectra that several measures share. Samples are (n,) float32 in -1 to 1; levels are dB of power, 0 dB for 1.0.

Invariant: each is a pure function of the samples; a clip shorter than a window has one frame at least.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mtj_trainer.families.codec.spectral import mel_filters

Floats = npt.NDArray[np.float32]

FLOOR_DB = -80.0
"""What is quieter counts as so quiet: nobody hears it, and a logarithm would make it the largest difference of all."""


def log_mel(audio: Floats, rate: int, *, bands: int, window: int, hop: int) -> Floats:
    """(bands, frames) level in bands that are equally wide on the mel scale, at least ``FLOOR_DB``.

    Args:
        window, hop: samples.
    """
    power = magnitudes(torch.from_numpy(np.array(audio, dtype=np.float32)), window, hop) ** 2
    mel = filters(rate, bands, window) @ power
    return np.asarray((10 * torch.log10(mel.clamp(min=10 ** (FLOOR_DB / 10)))).numpy(), dtype=np.float32)


def magnitudes(audio: Tensor, window: int, hop: int) -> Tensor:
    """(..., window / 2 + 1, 1 + n // hop) of (..., n): Hann, centred, a sine of amplitude 1 has a peak of 1."""
    taper = torch.hann_window(window, dtype=audio.dtype, device=audio.device)
    spectrum: Tensor = torch.stft(
        audio, window, hop, window=taper, center=True, pad_mode="constant", return_complex=True
    )
    return spectrum.abs() * (2 / taper.sum())


@lru_cache(maxsize=32)
def filters(rate: int, bands: int, window: int) -> Tensor:
    """(bands, window / 2 + 1), as ``mel_filters`` makes them, once."""
    return mel_filters(rate, window, bands)
