"""Captions through a frozen text encoder, once: training then needs neither the encoder nor its memory.

It is done where the stage is driven, which has loaded the model anyway, and not by workers: captions are few, one a
track, and seconds of work where their recordings take hours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mtj_trainer.families.musicgen.complete import MusicGen
from mtj_trainer.families.musicgen.text import text_states
from mtj_trainer.prepare.codes.arrays import StoredArray, write_arrays
from mtj_trainer.prepare.codes.chunks import TextChunk
from mtj_trainer.storage import Storage


def encode_texts(
    cache: Storage, chunks: Iterable[TextChunk], model: MusicGen, before_each: Callable[[], None]
) -> dict[str, tuple[StoredArray, ...]]:
    """Store the states of each chunk's captions, (tokens, width) each.

    Args:
        before_each: called before each chunk; what it raises ends the work, of which all that is done is kept.

    Returns:
        What was stored, by the chunk's name.
    """
    made = {}
    for chunk in chunks:
        before_each()
        states = text_states(model.complete.text_encoder, model.tokenizer, chunk.captions)
        made[chunk.shard] = write_arrays(cache, chunk.shard, zip(chunk.captions, states, strict=True))
    return made
