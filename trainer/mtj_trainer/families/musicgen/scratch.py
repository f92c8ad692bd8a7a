"""A MusicGen with fresh weights over a codec that is there."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch

from mtj_api.spec.model import Architecture
from mtj_trainer.families.musicgen.complete import MusicGen
from mtj_trainer.families.musicgen.configure import configure
from mtj_trainer.families.musicgen.melody import CHROMA, ChromaSettings
from mtj_trainer.families.musicgen.text import make_tokenizer
from mtj_trainer.families.quiet import quiet_transformers

TEXT_LAYERS = 2
"""Of the text encoder, which is as wide as the decoder: captions are short, and their words few."""

LONGEST_TEXT = 512
"""Tokens before the music for which there are positions."""


def from_scratch(
    architecture: Architecture,
    codec: Any,
    captions: Iterable[str],
    *,
    melody: bool = False,
    dropout: float = 0.0,
    seed: int = 0,
) -> MusicGen:
    """A MusicGen with random weights, the same for the same seed, and a text encoder that is trained along.

    Args:
        architecture: the decoder's sizes; ``context`` is in frames.
        codec: a ``DacModel`` or ``EncodecModel``; it becomes a part of the model as it is.
        captions: all of the data set's, for the vocabulary.
        melody: whether the model listens to a melody besides the text.
        dropout: on embeddings and residual branches; in the attention there is none, for its kernel's sake.
    """
    import transformers

    from mtj_trainer.families.codec.codec import codec_of

    quiet_transformers()
    sizes = codec_of(codec)
    tokenizer = make_tokenizer(captions)
    text = transformers.T5Config(
        vocab_size=len(tokenizer),
        d_model=architecture.width,
        d_kv=architecture.width // architecture.heads,
        d_ff=4 * architecture.width,
        num_layers=TEXT_LAYERS,
        num_heads=architecture.heads,
        dropout_rate=dropout,
    )
    chroma = ChromaSettings.at(sizes.sample_rate)
    chroma_length = math.ceil(architecture.context * sizes.hop / chroma.hop) if melody else 0
    prefix = "MusicgenMelody" if melody else "Musicgen"
    decoder = getattr(transformers, f"{prefix}DecoderConfig")(
        vocab_size=sizes.codebook_size,
        num_codebooks=sizes.codebooks,
        num_hidden_layers=architecture.layers,
        hidden_size=architecture.width,
        num_attention_heads=architecture.heads,
        ffn_dim=4 * architecture.width,
        max_position_embeddings=chroma_length + LONGEST_TEXT + architecture.context + sizes.codebooks,
        dropout=dropout,
        pad_token_id=sizes.codebook_size,
        bos_token_id=sizes.codebook_size,
    )
    known = {"num_chroma": CHROMA, "chroma_length": chroma_length} if melody else {}
    config = getattr(transformers, f"{prefix}Config")(
        text_encoder=text, audio_encoder=codec.config, decoder=decoder, **known
    )
    torch.manual_seed(seed)
    complete = getattr(transformers, f"{prefix}ForConditionalGeneration")(
        config,
        text_encoder=transformers.T5EncoderModel(text),
        audio_encoder=codec,
        decoder=getattr(transformers, f"{prefix}ForCausalLM")(decoder),
    )
    configure(complete, architecture.context)
    return MusicGen(complete, tokenizer, architecture.context, learns_text=True)
