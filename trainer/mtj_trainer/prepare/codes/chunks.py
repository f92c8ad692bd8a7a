"""What is made at a time: some segments of a recording's unit, or some captions, named by all that decides the result.

Invariant: a chunk holds segments of one unit alone, and where captions are divided follows from each of them alone
(content-defined chunking, as in ``prepare.units``). One more file therefore adds chunks and changes few others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mtj_trainer.prepare.codes.dataset import sample_name
from mtj_trainer.prepare.dataset import Sample
from mtj_trainer.prepare.units import stable_hash

ENCODING_VERSION = 1
"""Raise it with any change of code that changes what a segment or a caption becomes."""

SEGMENTS_A_CHUNK = 16
"""About five minutes of music: what a worker that is killed loses at most, and little enough to keep all of them busy
to the end."""

CAPTIONS_A_CHUNK = 64
"""On average."""


@dataclass(frozen=True)
class AudioChunk:
    """Segments that become one shard.

    Attributes:
        shard: its name.
        samples: in the order in which they lie in their unit.
    """

    shard: str
    samples: tuple[Sample, ...]

    @property
    def seconds(self) -> float:
        """Of music."""
        return sum(sample.length for sample in self.samples)


@dataclass(frozen=True)
class TextChunk:
    """Captions whose states become one shard, whose name is ``shard``."""

    shard: str
    captions: tuple[str, ...]


def audio_chunks(samples: Iterable[Sample], codec: str, channels: int) -> list[AudioChunk]:
    """Chunks of the segments.

    Args:
        codec: fingerprint of the codec.
        channels: that the codes hold.
    """
    units: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        units[sample.unit].append(sample)
    chunks = []
    for unit in sorted(units):
        inside = sorted(units[unit], key=lambda sample: sample.offset)
        for start in range(0, len(inside), SEGMENTS_A_CHUNK):
            part = inside[start : start + SEGMENTS_A_CHUNK]
            names = [sample_name(sample) for sample in part]
            chunks.append(AudioChunk(stable_hash("codes", ENCODING_VERSION, codec, channels, names), tuple(part)))
    return chunks


def text_chunks(captions: Iterable[str], encoder: str) -> list[TextChunk]:
    """Chunks of the distinct captions.

    Args:
        encoder: fingerprint of the text encoder and its tokenizer.
    """
    chunks: list[TextChunk] = []
    part: list[str] = []
    for caption in sorted(set(captions)):
        part.append(caption)
        if int(stable_hash(caption)[:8], 16) < 2**32 / CAPTIONS_A_CHUNK:
            chunks.append(_text_chunk(part, encoder))
            part = []
    return [*chunks, _text_chunk(part, encoder)] if part else chunks


def _text_chunk(captions: Sequence[str], encoder: str) -> TextChunk:
    return TextChunk(stable_hash("texts", ENCODING_VERSION, encoder, list(captions)), tuple(captions))
