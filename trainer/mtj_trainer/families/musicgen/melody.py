"""A melody as MusicGen hears it: which of the twelve pitch classes is the strongest, frame by frame.

Copet et al. 2023 (arXiv 2306.05284), section 2.3. The same as transformers' ``MusicgenMelodyFeatureExtractor`` without
its separation of stems, on any sample rate: its window and hop are kept in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

CHROMA = 12
"""Pitch classes, from C upward."""

REFERENCE_RATE = 32_000


@dataclass(frozen=True)
class ChromaSettings:
    """The frames of a melody.

    Attributes:
        sample_rate: of the audio.
        window, hop: samples.
    """

    sample_rate: int
    window: int
    hop: int

    @classmethod
    def at(cls, sample_rate: int) -> Self:
        """About half a second of window and an eighth of hop: 16,384 and 4,096 samples at 32 kHz."""
        hop = max(1, round(4096 * sample_rate / REFERENCE_RATE))
        return cls(sample_rate, 4 * hop, hop)


def chroma(audio: Tensor, settings: ChromaSettings) -> Tensor:
    """(N,) samples of mono audio to (M, 12) one-hot float32, with M = 1 + N // hop."""
    short = settings.window - audio.shape[-1]
    if short > 0:
        audio = F.pad(audio, (short // 2, short - short // 2))
    window = torch.hann_window(settings.window, device=audio.device)
    spectrum = torch.stft(audio, settings.window, settings.hop, window=window, return_complex=True).abs().square()
    strength = _filters(settings).to(audio.device) @ (spectrum / window.square().sum())
    strength = F.normalize(strength, p=float("inf"), dim=0, eps=1e-6)
    return F.one_hot(strength.argmax(dim=0), CHROMA).float()


def passage(melody: Tensor, first: int, length: int) -> Tensor:
    """(M, 12) to (length, 12): what the model hears of a melody for music that begins at its frame ``first``.

    What is too short is repeated, as transformers has it; a melody that is over begins again.
    """
    there = melody[first : first + length] if first < len(melody) else melody
    return there[torch.arange(length) % len(there)]


def no_melody(frames: int) -> Tensor:
    """(frames, 12): what the model hears where there is no melody, a C throughout, as transformers has it."""
    return F.one_hot(torch.zeros(frames, dtype=torch.long), CHROMA).float()


@lru_cache(maxsize=4)
def _filters(settings: ChromaSettings) -> Tensor:
    """(12, window / 2 + 1)."""
    from transformers.audio_utils import chroma_filter_bank

    bank = chroma_filter_bank(
        sampling_rate=settings.sample_rate, num_frequency_bins=settings.window, tuning=0, num_chroma=CHROMA
    )
    return torch.from_numpy(bank).float()
