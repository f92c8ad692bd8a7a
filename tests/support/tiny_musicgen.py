"""MusicGen with random weights, at a size for tests, and what it is called with."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn

CODEBOOKS, CODES, WIDTH, BLOCKS, FEED_FORWARD, TEXT_WIDTH = 2, 16, 16, 2, 32, 12


def tiny_musicgen(seed: int = 0) -> Any:
    """``transformers.MusicgenForConditionalGeneration`` that evaluates, without dropout."""
    from transformers import (
        EncodecConfig,
        MusicgenConfig,
        MusicgenDecoderConfig,
        MusicgenForConditionalGeneration,
        T5Config,
    )

    config = MusicgenConfig(
        text_encoder=T5Config(vocab_size=32, d_model=TEXT_WIDTH, d_kv=4, d_ff=16, num_layers=1, num_heads=2),
        audio_encoder=EncodecConfig(
            num_filters=4,
            hidden_size=8,
            codebook_size=CODES,
            codebook_dim=8,
            upsampling_ratios=[4, 2],
            sampling_rate=800,
        ),
        decoder=MusicgenDecoderConfig(
            vocab_size=CODES,
            num_codebooks=CODEBOOKS,
            hidden_size=WIDTH,
            num_hidden_layers=BLOCKS,
            num_attention_heads=2,
            ffn_dim=FEED_FORWARD,
            dropout=0.0,
            pad_token_id=CODES,
            bos_token_id=CODES,
        ),
    )
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # EnCodec's, about weight normalization
        return MusicgenForConditionalGeneration(config).eval()


class Conditioned(nn.Module):
    """The trained part of a MusicGen: its decoder and the projection of text states, under the published names."""

    def __init__(self, whole: Any) -> None:
        super().__init__()
        self.decoder = whole.decoder
        self.enc_to_dec_proj = whole.enc_to_dec_proj

    def forward(self, codes: Tensor, states: Tensor, mask: Tensor) -> Tensor:
        """(B, K, T) codes, (B, L, D) text states and their (B, L) mask to (B * K, T, V) logits."""
        projected = self.enc_to_dec_proj(states) * mask[..., None]
        logits: Tensor = self.decoder(
            input_ids=codes.flatten(0, 1), encoder_hidden_states=projected, encoder_attention_mask=mask
        ).logits
        return logits


def inputs(batch: int = 2, frames: int = 6, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """What ``Conditioned`` takes; the last text is one state shorter."""
    random = torch.Generator().manual_seed(seed)
    codes = torch.randint(CODES, (batch, CODEBOOKS, frames), generator=random)
    mask = torch.ones(batch, 3, dtype=torch.int64)
    mask[-1, -1] = 0
    return codes, torch.randn(batch, 3, TEXT_WIDTH, generator=random), mask
