"""How many parameters a model from scratch has, by arithmetic alone."""

from __future__ import annotations

from mtj_api.spec.model import Architecture, CodecArchitecture, Model

TYPICAL_VOCABULARY = 512
"""Tokens of the symbolic vocabularies, where it is not known which."""

VOCABULARIES = {"grid": 331, "remi": 691}
"""Tokens of each symbolic vocabulary with its usual settings."""

TYPICAL_CODEBOOKS, TYPICAL_CODEBOOK_SIZE = 4, 2048
"""Of the codec under a MusicGen: what MusicGen's own has, as that of a job is not known before it runs."""


def model_parameters(model: Model) -> int | None:
    """Parameters of a model from scratch; ``None`` of one that starts from another."""
    if model.codec_architecture is not None:
        return codec_parameters(model.codec_architecture)
    if model.architecture is None:
        return None
    if model.family == "symbolic":
        return parameter_count(model.architecture)
    return musicgen_parameters(model.architecture.layers, model.architecture.width)


def parameter_count(architecture: Architecture, vocabulary: int = TYPICAL_VOCABULARY) -> int:
    """Parameters of the symbolic decoder: 12 width^2 a layer, the embedding and the head."""
    width = architecture.width
    return architecture.layers * (12 * width * width + 2 * width) + 2 * vocabulary * width + width


def musicgen_parameters(
    layers: int, width: int, codebooks: int = TYPICAL_CODEBOOKS, codebook_size: int = TYPICAL_CODEBOOK_SIZE
) -> int:
    """Parameters of MusicGen's decoder: self-attention, cross-attention and a feed-forward layer four times as wide."""
    block = 4 * width * width + 4 * width * width + 8 * width * width + 6 * width
    tables = codebooks * (codebook_size + 1) * width + codebooks * codebook_size * width
    return layers * block + tables + 2 * width


def codec_parameters(architecture: CodecArchitecture) -> int:
    """Parameters of a DAC codec (Kumar et al. 2023, arXiv 2306.06546), one channel in and out."""

    def convolution(inside: int, outside: int, kernel: int) -> int:
        return inside * outside * kernel + outside

    def residual(width: int) -> int:
        return 2 * width + convolution(width, width, 7) + convolution(width, width, 1)

    width = architecture.encoder_width
    total = convolution(1, width, 7)
    for stride in architecture.strides:
        total += 3 * residual(width) + width + convolution(width, 2 * width, 2 * stride)
        width *= 2
    total += width + convolution(width, width, 3)
    latent, entry = width, architecture.codebook_dim
    each = convolution(latent, entry, 1) + convolution(entry, latent, 1) + architecture.codebook_size * entry
    total += architecture.codebooks * each
    width = architecture.decoder_width
    total += convolution(latent, width, 7)
    for stride in reversed(architecture.strides):
        total += width + convolution(width, width // 2, 2 * stride) + 3 * residual(width // 2)
        width //= 2
    return total + width + convolution(width, 1, 7)
