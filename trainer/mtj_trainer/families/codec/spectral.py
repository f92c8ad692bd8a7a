"""How far two recordings are apart, by their spectra at several resolutions.

``stft_distance`` is Yamamoto et al. 2020 (Parallel WaveGAN, arXiv 1910.11480): at each resolution the spectral
convergence and the mean absolute difference of log magnitudes; the mean over resolutions. ``MelDistance`` is the mean
absolute difference of log mel magnitudes, as EnCodec and DAC have it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Resolution(NamedTuple):
    """Of a short-time Fourier transform with a Hann window, in samples."""

    fft: int
    hop: int
    window: int


RESOLUTIONS = (Resolution(2048, 240, 1200), Resolution(1024, 120, 600), Resolution(512, 50, 240))
"""Those of Parallel WaveGAN, by which reconstructions are evaluated, too: at 16 kHz, windows of 75 to 15 ms."""

SHORTEST = max(resolution.fft for resolution in RESOLUTIONS)
"""Samples that audio must have at least."""

FAINTEST = 1e-8
"""Of a squared magnitude: what is fainter counts as this, as the logarithm of silence has no end."""

BINS_A_BAND = 16
"""Samples of a transform for each of its mel bands: few enough that the narrowest band still has a bin."""

_FAINTEST_BAND = 1e-5
"""Of a mel band's magnitude (Kumar et al. 2023)."""


def short_time_fourier(audio: Tensor, fft: int, hop: int, window: Tensor, *, normalized: bool = False) -> Tensor:
    """(B, N) to complex (B, fft // 2 + 1, 1 + N // hop), with both ends mirrored as ``torch.stft`` does.

    Its own mirroring has a gradient that a GPU adds up in another order each time.

    Args:
        audio: longer than half of ``fft``.
        fft, hop: in samples.
        window: of at most ``fft`` samples.
        normalized: divided by the root of ``fft``.
    """
    half = fft // 2
    mirrored = torch.cat([audio[:, 1 : half + 1].flip(-1), audio, audio[:, -half - 1 : -1].flip(-1)], dim=-1)
    return torch.stft(mirrored, fft, hop, len(window), window, center=False, normalized=normalized, return_complex=True)


class Spectrograms(nn.Module):
    """Magnitudes of short-time Fourier transforms."""

    def __init__(self) -> None:
        super().__init__()
        for resolution in RESOLUTIONS:
            self.register_buffer(f"hann{resolution.window}", torch.hann_window(resolution.window), persistent=False)

    def forward(self, audio: Tensor) -> list[Tensor]:
        """(B, N), of at least ``SHORTEST``, to (B, fft // 2 + 1, frames) for each of ``RESOLUTIONS``."""
        return [self._magnitudes(audio, *resolution) for resolution in RESOLUTIONS]

    def _magnitudes(self, audio: Tensor, fft: int, hop: int, window: int) -> Tensor:
        hann = self.get_buffer(f"hann{window}")
        bins = torch.view_as_real(short_time_fourier(audio, fft, hop, hann))
        return bins.square().sum(dim=-1).clamp(min=FAINTEST).sqrt()


def stft_distance(reconstruction: Sequence[Tensor], reference: Sequence[Tensor]) -> Tensor:
    """The distance of magnitudes that ``Spectrograms`` gave, a scalar: 0 for equal ones."""
    distances = [
        torch.linalg.vector_norm(there - here) / torch.linalg.vector_norm(there)
        + (here.log() - there.log()).abs().mean()
        for here, there in zip(reconstruction, reference, strict=True)
    ]
    return torch.stack(distances).mean()


class MelDistance(nn.Module):
    """Mean absolute difference of natural logarithms of mel magnitudes, over all resolutions.

    Args:
        sample_rate: samples a second.
    """

    def __init__(self, sample_rate: int) -> None:
        super().__init__()
        self._names = [f"mel{resolution.fft}" for resolution in RESOLUTIONS]
        for name, resolution in zip(self._names, RESOLUTIONS, strict=True):
            filters = mel_filters(sample_rate, resolution.fft, resolution.fft // BINS_A_BAND)
            self.register_buffer(name, filters, persistent=False)

    def forward(self, reconstruction: Sequence[Tensor], reference: Sequence[Tensor]) -> Tensor:
        """The distance of magnitudes that ``Spectrograms`` gave, a scalar."""
        distances = [
            (self._bands(name, here) - self._bands(name, there)).abs().mean()
            for name, here, there in zip(self._names, reconstruction, reference, strict=True)
        ]
        return torch.stack(distances).mean()

    def _bands(self, name: str, magnitudes: Tensor) -> Tensor:
        return (self.get_buffer(name) @ magnitudes).clamp(min=_FAINTEST_BAND).log()


def mel_filters(sample_rate: int, fft: int, bands: int) -> Tensor:
    """(bands, fft // 2 + 1): triangles that are equally wide in mel (O'Shaughnessy 1987), each of height 1."""
    highest = 2595.0 * torch.log10(torch.tensor(1.0 + sample_rate / 2 / 700.0))
    edges = 700.0 * (10.0 ** (torch.linspace(0.0, float(highest), bands + 2) / 2595.0) - 1.0)
    hertz = torch.linspace(0.0, sample_rate / 2, fft // 2 + 1)
    rising = (hertz - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - hertz) / (edges[2:] - edges[1:-1])[:, None]
    return torch.minimum(rising, falling).clamp(min=0.0)
