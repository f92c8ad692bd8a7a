"""How far two recordings are apart, by their spectra at several resolutions.

``stft_distance`` is Yamamoto et al. 2020 (Parallel WaveGAN, arXiv 1910.11480): at each resolution the spectral
convergence and the mean absolute difference of log magnitudes; the mean over resolutions. ``MelDistance`` is the mean
absolute difference of log mel magnitudes, as EnCodec and DAC have it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

WINDOWS = (2048, 1024, 512, 256)
"""Lengths of the windows in samples: at 16 kHz, 128 to 16 ms."""

FAINTEST = 1e-8
"""Of a squared magnitude: what is fainter counts as this, as the logarithm of silence has no end."""

_FAINTEST_BAND = 1e-5
"""Of a mel band's magnitude (Kumar et al. 2023)."""


class Spectrograms(nn.Module):
    """Magnitudes of short-time Fourier transforms with Hann windows that overlap by three quarters."""

    def __init__(self, windows: Sequence[int] = WINDOWS) -> None:
        super().__init__()
        self.windows = tuple(windows)
        for window in windows:
            self.register_buffer(f"hann{window}", torch.hann_window(window), persistent=False)

    def forward(self, audio: Tensor) -> list[Tensor]:
        """(B, N), of more than half the longest window, to (B, window // 2 + 1, frames) for each window."""
        return [self._magnitudes(audio, window) for window in self.windows]

    def _magnitudes(self, audio: Tensor, window: int) -> Tensor:
        hann = self.get_buffer(f"hann{window}")
        bins = torch.view_as_real(torch.stft(audio, window, window // 4, window, hann, return_complex=True))
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
        windows: of the ``Spectrograms``; a window has a sixteenth of its samples as bands.
    """

    def __init__(self, sample_rate: int, windows: Sequence[int] = WINDOWS) -> None:
        super().__init__()
        for window in windows:
            self.register_buffer(f"mel{window}", mel_filters(sample_rate, window, window // 16), persistent=False)
        self._names = [f"mel{window}" for window in windows]

    def forward(self, reconstruction: Sequence[Tensor], reference: Sequence[Tensor]) -> Tensor:
        """The distance of magnitudes that ``Spectrograms`` gave, a scalar."""
        distances = [
            (self._bands(name, here) - self._bands(name, there)).abs().mean()
            for name, here, there in zip(self._names, reconstruction, reference, strict=True)
        ]
        return torch.stack(distances).mean()

    def _bands(self, name: str, magnitudes: Tensor) -> Tensor:
        return (self.get_buffer(name) @ magnitudes).clamp(min=_FAINTEST_BAND).log()


def mel_filters(sample_rate: int, window: int, bands: int) -> Tensor:
    """(bands, window // 2 + 1): triangles that are equally wide in mel (O'Shaughnessy 1987), each of height 1."""
    highest = 2595.0 * torch.log10(torch.tensor(1.0 + sample_rate / 2 / 700.0))
    edges = 700.0 * (10.0 ** (torch.linspace(0.0, float(highest), bands + 2) / 2595.0) - 1.0)
    hertz = torch.linspace(0.0, sample_rate / 2, window // 2 + 1)
    rising = (hertz - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - hertz) / (edges[2:] - edges[1:-1])[:, None]
    return torch.minimum(rising, falling).clamp(min=0.0)
