"""What a worker does: the segments of a chunk, read, brought to the codec's rate and channels, and encoded.

Invariant: a segment's codes follow from the segment and the codec alone, whichever others are in its chunk: each is
encoded by itself. A batch of several is no faster on a core (half as fast, with DAC and 20 s of audio), as what a
layer writes then no longer fits its caches.
"""

from __future__ import annotations

import functools
import io
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr
import torch
from torch import Tensor

from mtj_trainer.families.codec import Codec, load_codec
from mtj_trainer.prepare.audio.downmix import mix_matrix
from mtj_trainer.prepare.codes.arrays import StoredArray, write_arrays
from mtj_trainer.prepare.codes.chunks import AudioChunk
from mtj_trainer.prepare.codes.dataset import sample_name
from mtj_trainer.prepare.dataset import PreparedDataset
from mtj_trainer.storage import open_storage

WHOLE_SECONDS = 30.0
"""Longer segments are encoded in parts of this length, as memory grows with it: a minute at 32 kHz takes 500 MB for
what EnCodec's first layer writes."""

CONTEXT_SECONDS = 1.0
"""What a part sees of its neighbours, several times what a codec's convolutions reach."""


@dataclass(frozen=True)
class ChunkTask:
    """All that a worker needs to know; small, since it is sent to it.

    Attributes:
        audio: URL of the cache that the segments' units lie in.
        cache: URL of the cache for the codes.
        codec: URL of the codec's folder.
        channels: that the codes are to hold.
    """

    chunk: AudioChunk
    audio: str
    cache: str
    codec: str
    channels: int


def encode_chunk(task: ChunkTask) -> tuple[StoredArray, ...]:
    """Encode a chunk's segments; its shard and its record are stored when this returns."""
    codec = _codec(task.codec)
    with tempfile.TemporaryDirectory(prefix="audio-") as folder:
        dataset = PreparedDataset(open_storage(task.audio), {}, {}, list(task.chunk.samples), Path(folder))
        arrays = (
            (sample_name(sample), encode_segment(dataset.read(sample), codec, task.channels))
            for sample in task.chunk.samples
        )
        return write_arrays(open_storage(task.cache), task.chunk.shard, arrays)


def encode_segment(flac: bytes, codec: Codec, channels: int) -> npt.NDArray[np.uint16]:
    """A segment's codes, (codebooks, ceil(samples / hop)).

    Args:
        channels: where they are more than the codec's, each channel is encoded by itself, and the codebooks of all
            take turns: left, right, left, right, as a stereo MusicGen has them.
    """
    samples, rate = soundfile.read(io.BytesIO(flac), dtype="float32", always_2d=True)
    if samples.shape[1] != channels:
        samples = samples @ mix_matrix(samples.shape[1], channels)
    if rate != codec.sample_rate:
        samples = soxr.resample(samples, rate, codec.sample_rate, quality="HQ")
    audio = torch.from_numpy(np.ascontiguousarray(samples.T))
    codes = encode_in_parts(codec, audio[None] if channels == codec.channels else audio[:, None])
    in_turn = codes.transpose(0, 1).flatten(0, 1)
    return in_turn.cpu().numpy().astype(np.uint16)


def encode_in_parts(
    codec: Codec, audio: Tensor, seconds: float = WHOLE_SECONDS, context_seconds: float = CONTEXT_SECONDS
) -> Tensor:
    """``codec.encode`` of (B, channels, N) in parts of at most ``seconds``, each with context: (B, K, T)."""
    frames = -(-audio.shape[-1] // codec.hop)
    part = max(1, round(seconds * codec.sample_rate / codec.hop))
    context = round(context_seconds * codec.sample_rate / codec.hop)
    parts = []
    for start in range(0, frames, part):
        first = max(0, start - context)
        codes = codec.encode(audio[..., first * codec.hop : (start + part + context) * codec.hop])
        parts.append(codes[..., start - first : start - first + part])
    return torch.cat(parts, dim=-1)


@functools.lru_cache(maxsize=1)
def _codec(url: str) -> Codec:
    """Loaded once a process."""
    return load_codec(open_storage(url)).to(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
