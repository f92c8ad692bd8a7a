"""Tiny models of MusicGen's kind, and codes with a structure that they can learn."""

from __future__ import annotations

from typing import Any

import torch

CODEBOOK_SIZE = 64
CODEBOOKS = 4


def decoder_config(*, codebooks: int = CODEBOOKS, melody: bool = False, **values: Any) -> Any:
    from transformers import MusicgenDecoderConfig, MusicgenMelodyDecoderConfig

    kind = MusicgenMelodyDecoderConfig if melody else MusicgenDecoderConfig
    sizes = {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 2, "ffn_dim": 64}
    tokens = {"pad_token_id": CODEBOOK_SIZE, "bos_token_id": CODEBOOK_SIZE}
    return kind(vocab_size=CODEBOOK_SIZE, num_codebooks=codebooks, **sizes, **tokens, **values)
