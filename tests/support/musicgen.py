"""Tiny models of MusicGen's kind, and codes with a structure that they can learn."""

from __future__ import annotations

from typing import Any

import torch

from mtj_api.spec.model import Architecture
from mtj_trainer.families.musicgen.complete import MusicGen
from mtj_trainer.families.musicgen.configure import configure
from mtj_trainer.families.musicgen.scratch import from_scratch

CODEBOOK_SIZE = 64
CODEBOOKS = 4
SIZES = Architecture(layers=2, width=32, heads=2, context=32)
CAPTIONS = ("a calm chorale in G major", "a fast polka in D minor, 2/4")


def decoder_config(*, codebooks: int = CODEBOOKS, melody: bool = False, **values: Any) -> Any:
    from transformers import MusicgenDecoderConfig, MusicgenMelodyDecoderConfig

    kind = MusicgenMelodyDecoderConfig if melody else MusicgenDecoderConfig
    sizes = {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 2, "ffn_dim": 64}
    tokens = {"pad_token_id": CODEBOOK_SIZE, "bos_token_id": CODEBOOK_SIZE}
    return kind(vocab_size=CODEBOOK_SIZE, num_codebooks=codebooks, **sizes, **tokens, **values)


def encodec() -> Any:
    """An EnCodec of four codebooks at 16 kHz and 250 frames a second; its codebooks are made to differ."""
    from transformers import EncodecConfig, EncodecModel

    torch.manual_seed(0)
    config = EncodecConfig(
        sampling_rate=16_000,
        upsampling_ratios=[4, 4, 2, 2],
        target_bandwidths=[6.0],
        codebook_size=CODEBOOK_SIZE,
        num_filters=2,
        hidden_size=8,
        codebook_dim=8,
        num_lstm_layers=1,
        num_residual_layers=1,
        use_causal_conv=False,
    )
    codec = EncodecModel(config)
    for layer in codec.quantizer.layers:
        torch.nn.init.normal_(layer.codebook.embed)
    return codec.eval()


def dac() -> Any:
    """A DAC of four codebooks at 16 kHz and 250 frames a second."""
    from transformers import DacConfig, DacModel

    torch.manual_seed(0)
    config = DacConfig(
        sampling_rate=16_000,
        encoder_hidden_size=4,
        downsampling_ratios=[4, 4, 4],
        upsampling_ratios=[4, 4, 4],
        decoder_hidden_size=16,
        n_codebooks=CODEBOOKS,
        codebook_size=CODEBOOK_SIZE,
        codebook_dim=4,
    )
    return DacModel(config).eval()


def tiny(codec: Any = None, *, melody: bool = False, dropout: float = 0.0, seed: int = 0) -> MusicGen:
    """A MusicGen from scratch."""
    return from_scratch(SIZES, codec or encodec(), CAPTIONS, melody=melody, dropout=dropout, seed=seed)


def with_text_width(model: MusicGen, width: int) -> MusicGen:
    """The model with a frozen text encoder of another width than the decoder's, as the published ones have it."""
    import transformers

    torch.manual_seed(1)
    complete = model.complete
    text = transformers.T5Config(
        vocab_size=len(model.tokenizer), d_model=width, d_kv=8, d_ff=32, num_layers=1, num_heads=2
    )
    known = {"chroma_length": complete.config.chroma_length} if model.is_melodic else {}
    config = type(complete.config)(
        text_encoder=text, audio_encoder=complete.audio_encoder.config, decoder=complete.decoder.config, **known
    )
    wider = type(complete)(
        config,
        text_encoder=transformers.T5EncoderModel(text),
        audio_encoder=complete.audio_encoder,
        decoder=complete.decoder,
    )
    configure(wider, model.context)
    return MusicGen(wider.eval(), model.tokenizer, model.context)
