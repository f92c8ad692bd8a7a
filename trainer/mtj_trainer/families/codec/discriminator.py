"""A discriminator that hears spectra at several resolutions, and the losses that it is trained by and trains with.

The complex spectra of EnCodec's discriminator (Défossez et al. 2022, arXiv 2210.13438, section 3.3), with fewer
channels; hinge losses, and feature matching relative to the size of the features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from mtj_trainer.families.codec.spectral import short_time_fourier

WINDOWS = (1024, 512, 256)
CHANNELS = 16


class Verdict(NamedTuple):
    """What one resolution makes of audio: more than 0 where it takes it for real, and what its layers saw."""

    logits: Tensor
    features: list[Tensor]


class Discriminator(nn.Module):
    """A small convolutional network for each resolution.

    Args:
        windows: lengths in samples.
        channels: of each layer.
    """

    def __init__(self, windows: Sequence[int] = WINDOWS, channels: int = CHANNELS) -> None:
        super().__init__()
        self.resolutions = nn.ModuleList(_Resolution(window, channels) for window in windows)

    def forward(self, audio: Tensor) -> list[Verdict]:
        """(B, N) to a verdict of each resolution."""
        return [resolution(audio) for resolution in self.resolutions]


class _Resolution(nn.Module):
    def __init__(self, window: int, channels: int) -> None:
        super().__init__()
        self.window = window
        self.register_buffer("hann", torch.hann_window(window), persistent=False)
        # Over (time, frequency): frequency is halved three times, while what is seen of time widens.
        shapes = [(2, (1, 1), 1), (channels, (1, 2), 1), (channels, (1, 2), 2), (channels, (1, 2), 4)]
        self.layers = nn.ModuleList(
            weight_norm(nn.Conv2d(inside, channels, (3, 5), stride, (dilation, 2), (dilation, 1)))
            for inside, stride, dilation in shapes
        )
        self.last = weight_norm(nn.Conv2d(channels, 1, 3, padding=1))

    def forward(self, audio: Tensor) -> Verdict:
        hann = self.get_buffer("hann")
        bins = short_time_fourier(audio, self.window, self.window // 4, hann, normalized=True)
        hidden = torch.view_as_real(bins).permute(0, 3, 2, 1)
        features = []
        for layer in self.layers:
            hidden = F.leaky_relu(layer(hidden), 0.2)
            features.append(hidden)
        return Verdict(self.last(hidden), features)


def discriminator_loss(real: Sequence[Verdict], decoded: Sequence[Verdict]) -> Tensor:
    """Hinge loss of the discriminator, a scalar: 0 where it is sure and right."""
    losses = [F.relu(1 - r.logits).mean() + F.relu(1 + d.logits).mean() for r, d in zip(real, decoded, strict=True)]
    return torch.stack(losses).mean()


def adversarial_loss(decoded: Sequence[Verdict]) -> Tensor:
    """What the codec is to lower, a scalar: how surely its audio is taken for decoded."""
    return torch.stack([F.relu(1 - one.logits).mean() for one in decoded]).mean()


def feature_matching_loss(real: Sequence[Verdict], decoded: Sequence[Verdict]) -> Tensor:
    """Mean absolute difference of features, relative to those of the real audio; a scalar."""
    losses = [
        (there.detach() - here).abs().mean() / there.detach().abs().mean().clamp(min=1e-8)
        for r, d in zip(real, decoded, strict=True)
        for there, here in zip(r.features, d.features, strict=True)
    ]
    return torch.stack(losses).mean()
