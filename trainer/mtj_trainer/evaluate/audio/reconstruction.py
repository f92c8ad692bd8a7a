"""How near a reconstruction is to its original, sample by sample and spectrum by spectrum.

Invariant: a measure is finite whatever is heard, and a reconstruction that is the original has the best value.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mtj_trainer.evaluate.audio.mel import FLOOR_DB, filters, magnitudes
from mtj_trainer.families.codec.spectral import SHORTEST, Spectrograms, stft_distance

Floats = npt.NDArray[np.float32]

MEASURES = {
    "snr": "signal-to-noise ratio, dB; more is better",
    "si_sdr": "scale-invariant signal-to-distortion ratio, dB; more is better",
    "stft_distance": "multi-resolution STFT distance; less is better",
    "spectral_convergence": "spectral convergence, 0 for a copy and 1 for silence; less is better",
    "log_spectral_distance": "log-spectral distance, dB; less is better",
    "mel_distance": "difference of 80 mel bands, dB; less is better",
}
"""What ``reconstruction_measures`` returns, with the unit of each."""

BEST_DB = 100.0
"""Ratios end here, and at minus as much: 16 bits hold 98 dB, and a copy would have infinitely many."""

_WINDOW, _HOP = 1024, 256
_MEL_BANDS = 80


def reconstruction_measures(original: Floats, reconstruction: Floats, rate: int) -> dict[str, float]:
    """One number for each of ``MEASURES``.

    Args:
        original, reconstruction: (n,) or (n, channels) samples in -1 to 1 of the same shape; cut off what a codec
            adds to fill its last frame.

    Raises:
        ValueError: shapes that differ, or no sample.
    """
    if original.shape != reconstruction.shape or not original.size:
        raise ValueError(
            f"an original of {original.shape} samples is not like its reconstruction of {reconstruction.shape}"
        )
    target, heard = (torch.from_numpy(np.array(each.T, dtype=np.float32)) for each in (original, reconstruction))
    power = magnitudes(target, _WINDOW, _HOP) ** 2, magnitudes(heard, _WINDOW, _HOP) ** 2
    bands = filters(rate, _MEL_BANDS, _WINDOW)
    mel = _decibels(bands @ power[0]) - _decibels(bands @ power[1])
    bins = _decibels(power[0]) - _decibels(power[1])
    return {
        "snr": snr(original, reconstruction),
        "si_sdr": si_sdr(original, reconstruction),
        "stft_distance": _stft_distance(heard, target),
        "spectral_convergence": float(_convergence(power[1].sqrt(), power[0].sqrt())),
        "log_spectral_distance": float((bins**2).mean(dim=-2).sqrt().mean()),
        "mel_distance": float(mel.abs().mean()),
    }


def mean_measures(measured: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean over clips of each of ``MEASURES``, and ``NAME.standard_error`` where there are two clips or more."""
    figures = {}
    for name in MEASURES:
        values = np.array([each[name] for each in measured])
        figures[name] = float(values.mean())
        if len(values) > 1:
            figures[f"{name}.standard_error"] = float(values.std(ddof=1) / np.sqrt(len(values)))
    return figures


def snr(original: Floats, reconstruction: Floats) -> float:
    """Signal-to-noise ratio in dB, the noise being the difference."""
    target = original.astype(np.float64)
    return _ratio(float(np.sum(target**2)), float(np.sum((target - reconstruction) ** 2)))


def si_sdr(original: Floats, reconstruction: Floats) -> float:
    """The same for the best scale of the original (Le Roux et al., SDR - half-baked or well done?, ICASSP 2019)."""
    target, heard = original.astype(np.float64).ravel(), reconstruction.astype(np.float64).ravel()
    energy = float(target @ target)
    if not heard.any():
        return BEST_DB if not energy else -BEST_DB
    scaled = target * (float(heard @ target) / energy if energy else 0.0)
    return _ratio(float(scaled @ scaled), float(np.sum((heard - scaled) ** 2)))


def _stft_distance(heard: Tensor, target: Tensor) -> float:
    """As in the codec's training."""
    short = max(0, SHORTEST - heard.shape[-1])
    spectrograms = Spectrograms()
    rows = (torch.nn.functional.pad(each.reshape(-1, each.shape[-1]), (0, short)) for each in (heard, target))
    return float(stft_distance(*(spectrograms(each) for each in rows)))


def _convergence(heard: Tensor, wanted: Tensor) -> Tensor:
    """Of (..., bins, frames) magnitudes (Arik et al., Fast Spectrogram Inversion, 2019), averaged over the rest."""
    error, size = torch.linalg.norm(wanted - heard, dim=(-2, -1)), torch.linalg.norm(wanted, dim=(-2, -1))
    mean: Tensor = (error / size.clamp(min=1e-8)).mean()
    return mean


def _decibels(power: Tensor) -> Tensor:
    return 10 * torch.log10(power.clamp(min=10 ** (FLOOR_DB / 10)))


def _ratio(signal: float, noise: float) -> float:
    if not noise:
        return BEST_DB
    return float(np.clip(10 * np.log10(signal / noise), -BEST_DB, BEST_DB)) if signal else -BEST_DB
