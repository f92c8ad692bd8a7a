"""The yardstick of a codec: what can be heard again of a mel spectrogram, without anything having been learnt.

A codec that keeps less than 64 mel bands and Griffin and Lim's algorithm do has not learnt to code music.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from mtj_trainer.evaluate.audio.mel import filters

Floats = npt.NDArray[np.float32]

BANDS = 64
ITERATIONS = 32

_WINDOW, _HOP = 1024, 256
_DESCENTS = 100


def griffin_lim(audio: Floats, rate: int, bands: int = BANDS, iterations: int = ITERATIONS) -> Floats:
    """(n,) samples made from nothing but the mel spectrogram of (n,) samples; the same ones every time.

    The spectrogram is the least-squares one that is nowhere negative; its phases are the fast algorithm's (Perraudin
    et al., A fast Griffin-Lim algorithm, WASPAA 2013) from phases of 0.
    """
    from torchaudio.functional import griffinlim

    taper = torch.hann_window(_WINDOW)
    samples = torch.from_numpy(np.pad(audio, (0, max(0, _WINDOW - len(audio)))).astype(np.float32))
    spectrum = torch.stft(samples, _WINDOW, _HOP, window=taper, pad_mode="constant", return_complex=True)
    weights = filters(rate, bands, _WINDOW)
    magnitude = _not_negative(weights, weights @ spectrum.abs())
    found = griffinlim(
        magnitude, taper, _WINDOW, _HOP, _WINDOW, power=1.0, n_iter=iterations, momentum=0.99, length=len(samples),
        rand_init=False,
    )  # fmt: skip
    return np.asarray(found.numpy()[: len(audio)], dtype=np.float32)


def _not_negative(weights: torch.Tensor, mel: torch.Tensor) -> torch.Tensor:
    """(bins, frames) of at least 0 whose bands, by (bands, bins) weights, come nearest to (bands, frames).

    Multiplicative updates (Lee & Seung, Algorithms for non-negative matrix factorization, 2000).
    """
    found = weights.T @ (mel / weights.sum(dim=1)[:, None].clamp(min=1e-6))
    target = weights.T @ mel
    for _ in range(_DESCENTS):
        found = found * target / (weights.T @ (weights @ found)).clamp(min=1e-12)
    return found
