"""Signals whose properties are known, and files made of them. Samples are (frames, channels), float32, full scale 1."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
import soundfile

Samples = npt.NDArray[np.float32]
RATE = 44_100


def sine(seconds: float, hertz: float = 440.0, amplitude: float = 0.5, channels: int = 2, rate: int = RATE) -> Samples:
    wave = amplitude * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    return np.repeat(wave[:, None], channels, axis=1).astype(np.float32)


def noise(seconds: float, amplitude: float = 0.1, channels: int = 2, rate: int = RATE, seed: int = 0) -> Samples:
    """White, normally distributed, with ``amplitude`` as its standard deviation."""
    generator = np.random.default_rng(seed)
    return (amplitude * generator.standard_normal((round(seconds * rate), channels))).astype(np.float32)


def clicks(seconds: float, beats_a_minute: float = 120.0, amplitude: float = 0.9, rate: int = RATE) -> Samples:
    """Stereo; a decaying 10 ms burst on every beat and nothing between."""
    out = np.zeros((round(seconds * rate), 2), dtype=np.float32)
    burst = amplitude * np.exp(-np.arange(round(0.01 * rate)) / (0.002 * rate)) * np.cos(np.arange(round(0.01 * rate)))
    for beat in np.arange(0, seconds, 60 / beats_a_minute):
        at = round(beat * rate)
        part = out[at : at + len(burst)]
        part += burst[: len(part), None].astype(np.float32)
    return out


def phrases(lengths: list[float], gap: float, rate: int = RATE) -> Samples:
    """Mono tones of the given seconds, with ``gap`` seconds of near silence after each."""
    pitches = (220.0, 330.0, 277.0, 440.0)
    parts = [
        np.concatenate([sine(length, pitches[i % 4], channels=1, rate=rate), np.zeros((round(gap * rate), 1))])
        for i, length in enumerate(lengths)
    ]
    return (
        np.concatenate(parts) + noise(sum(lengths) + gap * len(lengths), 1e-4, 1, rate)[: sum(map(len, parts))]
    ).astype(np.float32)


def silence(seconds: float, channels: int = 2, rate: int = RATE) -> Samples:
    return np.zeros((round(seconds * rate), channels), dtype=np.float32)


def encoded(samples: Samples, kind: str = "wav", rate: int = RATE, subtype: str | None = None) -> bytes:
    """As the content of a ``wav``, ``flac``, ``ogg`` or ``mp3`` file."""
    out = io.BytesIO()
    with soundfile.SoundFile(out, "w", rate, samples.shape[1], subtype, format=kind.upper()) as sound:
        for start in range(0, len(samples), rate):  # libsndfile's Vorbis encoder overflows its stack on minutes at once
            sound.write(samples[start : start + rate])
    return out.getvalue()


def decoded(flac: bytes) -> tuple[npt.NDArray[np.float64], int]:
    samples, rate = soundfile.read(io.BytesIO(flac), always_2d=True)
    return samples, int(rate)
