"""A recording's bytes to samples at the wanted rate and channels, in one pass.

Each block is mixed down as soon as it is read and then resampled, so a 192 kHz six-channel hour never lies in memory.
Invariant: what is returned is the whole recording; a file that ends early is refused, not shortened.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from mtj_trainer.prepare.audio.container import is_chained, is_cut_short, looks_like_audio
from mtj_trainer.prepare.audio.downmix import mix_matrix
from mtj_trainer.prepare.audio.mp3 import counted_seconds, promised_seconds, with_counted_length
from mtj_trainer.prepare.quarantine import Unusable

Samples = npt.NDArray[np.float32]
"""(frames, channels), full scale at 1.0; it may go beyond until it is limited."""

LONGEST_SECONDS = 4 * 3600.0
"""Of a recording, which lies in memory as a whole once it is decoded. A few kilobytes can claim any length."""

_BLOCK_FRAMES, _BLOCK_VALUES = 1 << 17, 1 << 20  # the second for a file of a thousand channels
_CLEARLY_SHORT_SECONDS = 0.2  # encoders' delays and padding are below this
_SLOWEST_RATE, _FASTEST_RATE = 4_000, 768_000
_UNKNOWN_FRAMES = 1 << 62
_MP3 = frozenset({"MP3", "MPEG"})
_FORMATS = _MP3 | {"WAV", "WAVEX", "RF64", "FLAC", "OGG"}


@dataclass(frozen=True)
class Decoded:
    """A recording at the wanted rate and channels, and what it was before.

    Attributes:
        samples: (frames, channels).
        duration_seconds: how long the original plays.
        sample_rate: of the original.
        channels: of the original.
    """

    samples: Samples
    duration_seconds: float
    sample_rate: int
    channels: int


def decode(data: bytes, name: str, sample_rate: int, channels: int) -> Decoded:
    """Decode wav, flac, ogg (Vorbis, Opus) or mp3.

    Raises:
        Unusable: ``empty-file``, ``not-audio``, ``truncated``, ``unreadable`` or ``too-long``.
    """
    if not data:
        raise Unusable("empty-file", f"{name} has no content")
    if not looks_like_audio(data):
        raise Unusable("not-audio", f"{name} is not a wav, flac, ogg or mp3 recording, whatever its name says")
    if is_cut_short(data):
        raise Unusable("truncated", f"{name} ends before its header says so")
    if is_chained(data):
        raise Unusable("unreadable", f"{name} holds recordings one after another; make each a file of its own")
    sound = _open(data, name)
    if sound.format in _MP3 and counted_seconds(data) > sound.frames / sound.samplerate + _CLEARLY_SHORT_SECONDS:
        sound.close()
        sound = _open(with_counted_length(data), name)
    with sound:
        if sound.format not in _FORMATS:
            raise Unusable("not-audio", f"{name} is a {sound.format} file, not a wav, flac, ogg or mp3 recording")
        if not _SLOWEST_RATE <= sound.samplerate <= _FASTEST_RATE:  # one byte wrong, and a second becomes an hour
            raise Unusable("unreadable", f"{name} says that it has {sound.samplerate} samples a second")
        if sound.frames >= _UNKNOWN_FRAMES:
            raise Unusable(
                "unreadable", f"{name} was written to a pipe and does not say how long it is; encode it again"
            )
        longest = LONGEST_SECONDS * sound.samplerate
        if sound.frames > longest and sound.format not in _MP3:  # of an mp3 file it is a guess
            raise _too_long(name)
        mix = mix_matrix(sound.channels, channels, vorbis_order=sound.format == "OGG")
        frames, blocks = 0, []
        resampler = _resampler(sound.samplerate, sample_rate, channels)
        for block in _read(sound, name):
            frames += len(block)
            if frames > longest:
                raise _too_long(name)
            mixed = block if np.array_equal(mix, np.eye(len(mix))) else block @ mix
            blocks.append(mixed if resampler is None else resampler.resample_chunk(mixed))
        if resampler is not None:
            blocks.append(resampler.resample_chunk(np.zeros((0, channels), np.float32), last=True))
        duration = frames / sound.samplerate
        promised = _promised_seconds(sound, data)
        if promised is not None and duration < promised - max(_CLEARLY_SHORT_SECONDS, 0.001 * promised):
            raise Unusable("truncated", f"{name} ends after {duration:.1f} s of the {promised:.1f} s in its header")
        samples = np.concatenate(blocks) if blocks else np.zeros((0, channels), np.float32)
        return Decoded(samples, duration, sound.samplerate, sound.channels)


def _open(data: bytes, name: str) -> soundfile.SoundFile:
    try:
        return soundfile.SoundFile(io.BytesIO(data))
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: a header with a raw encoding
        raise Unusable("unreadable", f"{name} cannot be decoded: {error}") from error


def _too_long(name: str) -> Unusable:
    return Unusable("too-long", f"{name} plays for more than {LONGEST_SECONDS / 3600:g} hours; cut it into parts")


def _read(sound: soundfile.SoundFile, name: str) -> Iterator[Samples]:
    """Blocks of (frames, channels) until the decoder has no more; where it fails, the length will be found short."""
    at_a_time = min(_BLOCK_FRAMES, _BLOCK_VALUES // sound.channels)
    while True:
        try:
            block = sound.read(at_a_time, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            if sound.format == "WAV" or not sound.frames:
                raise Unusable("unreadable", f"{name} cannot be decoded: {error}") from error
            return
        if not len(block):
            return
        if not np.isfinite(block).all():
            raise Unusable("unreadable", f"{name} holds samples that are not finite numbers")
        yield block


def _promised_seconds(sound: soundfile.SoundFile, data: bytes) -> float | None:
    if sound.format in _MP3:
        return promised_seconds(data)
    return float(sound.frames) / float(sound.samplerate)


def _resampler(rate: int, target: int, channels: int) -> soxr.ResampleStream | None:
    return None if rate == target else soxr.ResampleStream(rate, target, channels, dtype="float32", quality="HQ")
