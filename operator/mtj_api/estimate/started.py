"""Sizes of the model that a job starts from, from what its files say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mtj_api.estimate.musicgen import MusicGenSizes
from mtj_api.estimate.process import Started
from mtj_api.spec.model import Architecture, CodecArchitecture

T5_BASE, T5_LARGE = 109_600_000, 335_000_000
"""Parameters of their encoders."""

ENCODEC = 59_000_000
"""Of the EnCodec under the published models."""

CONTEXT = 1500
"""Frames of the published models: 30 seconds at 50 a second."""

PUBLISHED = {
    "facebook/musicgen-small": (24, 1024, 16),
    "facebook/musicgen-medium": (48, 1536, 24),
    "facebook/musicgen-large": (48, 2048, 32),
    "facebook/musicgen-melody": (48, 1536, 24),
    "facebook/musicgen-melody-large": (48, 2048, 32),
    "facebook/audiogen-medium": (48, 1536, 24),
}
"""Layers, width and heads by the hub's names (Copet et al. 2023, arXiv 2306.05284); those with ``stereo`` have the same
and twice the codebooks."""

CHROMA_LENGTH = 235
"""Positions before the music in the published melody models."""


def published_sizes(name: str) -> MusicGenSizes | None:
    """Sizes of a hub's model; ``None`` of one that is not known here."""
    stereo = "stereo-" in name
    found = PUBLISHED.get(re.sub("stereo-", "", name))
    if found is None:
        return None
    layers, width, heads = found
    return MusicGenSizes(
        layers,
        width,
        heads,
        context=CONTEXT,
        codebooks=8 if stereo else 4,
        text_encoder=T5_LARGE if "audiogen" in name else T5_BASE,
        codec=ENCODEC,
        melody=CHROMA_LENGTH if "melody" in name else 0,
    )


def sizes_in(config: Mapping[str, Any], counts: Mapping[str, int], longest: int | None = None) -> Started | None:
    """Sizes of a model in a folder.

    Args:
        config: its ``config.json``.
        counts: parameters by the first part of their names, such as ``decoder``.
        longest: ``max_length`` of its ``generation_config.json``.

    Returns:
        ``None`` for what no family trains.

    Raises:
        KeyError: the file lacks something.
    """
    if config.get("family") == "symbolic":
        return Architecture(**{name: config[name] for name in ("layers", "width", "heads", "context")})
    kind = config.get("model_type")
    if kind == "dac":
        return CodecArchitecture(
            encoder_width=config["encoder_hidden_size"],
            strides=config["downsampling_ratios"],
            decoder_width=config["decoder_hidden_size"],
            codebooks=config["n_codebooks"],
            codebook_size=config["codebook_size"],
            codebook_dim=config["codebook_dim"],
        )
    if kind not in ("musicgen", "musicgen_melody"):
        return None
    decoder = config["decoder"]
    return MusicGenSizes(
        layers=decoder["num_hidden_layers"],
        width=decoder["hidden_size"],
        heads=decoder["num_attention_heads"],
        context=(longest or CONTEXT + decoder["num_codebooks"]) - decoder["num_codebooks"],
        codebooks=decoder["num_codebooks"],
        codebook_size=decoder["vocab_size"],
        text_encoder=counts.get("text_encoder", 0),
        codec=counts.get("audio_encoder", 0),
        melody=config.get("chroma_length", CHROMA_LENGTH) if kind == "musicgen_melody" else 0,
    )
