"""What a model of transformers must be told before it is trained, and before it is asked for music."""

from __future__ import annotations

from typing import Any


def configure(complete: Any, context: int) -> None:
    """Set what transformers' own generation needs to know of a model."""
    decoder, generation = complete.config.decoder, complete.generation_config
    start = decoder.pad_token_id
    decoder.decoder_start_token_id = start
    generation.decoder_start_token_id = generation.bos_token_id = generation.pad_token_id = start
    generation.max_length = context + decoder.num_codebooks // decoder.audio_channels
    generation.do_sample = True
    generation.guidance_scale = 3.0


def set_dropout(complete: Any, dropout: float) -> None:
    """Drop values from embeddings and residual branches; nothing from the attention, which would leave its fast kernel,
    nor whole layers, which would leave gradients out that other processes wait for."""
    config, stack = complete.config.decoder, complete.decoder.model.decoder
    config.dropout = dropout
    config.attention_dropout = config.activation_dropout = config.layerdrop = 0.0
    stack.dropout, stack.layerdrop = dropout, 0.0
    for layer in stack.layers:
        layer.dropout, layer.activation_dropout, layer.self_attn.dropout = dropout, 0.0, 0.0
        if hasattr(layer, "encoder_attn"):
            layer.encoder_attn.dropout = 0.0
