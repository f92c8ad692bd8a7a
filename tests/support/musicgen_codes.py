"""Codes of recordings that lie in memory, with the methods of ``CodesDataset`` that training uses."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from mtj_trainer.prepare.dataset import Sample, Track
from mtj_trainer.prepare.split import Side
from support.musicgen import CODEBOOK_SIZE, CODEBOOKS

KEYS = ("Cmaj", "Dmin", "Emaj", "F#min")
HOP, RATE = 64, 16_000


@dataclass(frozen=True)
class Info:
    codebooks: int = CODEBOOKS
    codebook_size: int = CODEBOOK_SIZE
    hop: int = HOP
    sample_rate: int = RATE
    channels: int = 1


@dataclass(frozen=True)
class Segment:
    audio: Sample
    frames: int


@dataclass
class Recordings:
    tracks: dict[str, Track] = field(default_factory=dict)

    def read(self, sample: Sample) -> bytes:
        """A tone, a pitch class a track."""
        at = np.arange(int(sample.length * RATE)) / RATE
        content = io.BytesIO()
        tone = np.sin(2 * np.pi * 262 * 2 ** (int(sample.member) / 12) * at)
        soundfile.write(content, tone, RATE, format="FLAC")
        return content.getvalue()


class MemoryCodes:
    """Segments of a track each, whose codes come from a part of the codebook that its key decides.

    Args:
        lengths: frames of the segments, the last two of which are for validation.
        texts: states by caption.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        codec_url: str = "",
        texts: dict[str, npt.NDArray[np.float32]] | None = None,
        info: Any = None,
    ) -> None:
        self.info = info or Info()
        self.codec_url = codec_url
        self.dataset = Recordings()
        self._texts = texts or {}
        self._segments: dict[Side, list[Segment]] = {"train": [], "validation": [], "test": []}
        for number, frames in enumerate(lengths):
            side: Side = "train" if number < len(lengths) - 2 else "validation"
            name = str(number)
            key = KEYS[number % len(KEYS)]
            files = (f"{name}.flac",)
            self.dataset.tracks[name] = Track(name, files[0], files, side, 1.0, genre=("chorale",), key=key)
            seconds = frames * self.info.hop / self.info.sample_rate
            self._segments[side].append(Segment(Sample("audio", "unit", name, 0, 0, seconds, name, side), frames))

    def samples(self, split: str) -> list[Segment]:
        return self._segments[split]  # type: ignore[index]

    def read(self, sample: Segment) -> npt.NDArray[np.uint16]:
        random = np.random.default_rng(int(sample.audio.track))
        part = self.info.codebook_size // len(KEYS)
        first = KEYS.index(self.dataset.tracks[sample.audio.track].key or "") * part
        codes = first + random.integers(0, part, (1, sample.frames))
        steps = np.arange(self.info.codebooks)[:, None]
        return ((codes + 3 * steps) % self.info.codebook_size).astype(np.uint16)

    def text_states(self, caption: str) -> npt.NDArray[np.float32] | None:
        return self._texts.get(caption)
