"""The names of weights in audiocraft's MusicGen, AudioGen and EnCodec, to and from those in transformers.

Names are as in audiocraft 1.3, and as in transformers' own conversion scripts for MusicGen and EnCodec.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

_RENAMED = (
    ("emb.", "decoder.model.decoder.embed_tokens."),
    ("transformer.", "decoder.model.decoder."),
    ("out_norm.", "decoder.model.decoder.layer_norm."),
    ("linears.", "decoder.lm_heads."),
    ("condition_provider.conditioners.description.output_proj.", "enc_to_dec_proj."),
    ("condition_provider.conditioners.self_wav.output_proj.", "audio_enc_to_dec_proj."),
)
"""What a name begins with, there and here."""

_RENAMED_INSIDE = (
    (".cross_attention.", ".encoder_attn."),
    (".linear1.", ".fc1."),
    (".linear2.", ".fc2."),
    (".norm1.", ".self_attn_layer_norm."),
    (".norm_cross.", ".encoder_attn_layer_norm."),
    (".norm2.", ".final_layer_norm."),
)

_NOT_WEIGHTS = re.compile(r"^condition_provider\.conditioners\.self_wav\.(?!output_proj\.)")
"""Tables that chroma is computed with."""


def language_model_from_audiocraft(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of audiocraft's ``LMModel`` by their names in ``MusicgenForConditionalGeneration``.

    Raises:
        ValueError: a name is not one of theirs.
    """
    found: dict[str, Tensor] = {}
    for name, value in weights.items():
        if _NOT_WEIGHTS.match(name):
            continue
        renamed = _renamed(name, _RENAMED, _RENAMED_INSIDE)
        if renamed.endswith(".in_proj_weight"):
            stem = renamed.removesuffix("in_proj_weight")
            for part, rows in zip("qkv", value.chunk(3), strict=True):
                found[f"{stem}{part}_proj.weight"] = rows.clone()
        else:
            found[renamed] = value
    return found


def language_model_to_audiocraft(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of ``language_model_from_audiocraft``; weights of the codec and the text encoder are left out."""
    swapped = sorted(((here, there) for there, here in _RENAMED), key=lambda pair: -len(pair[0]))
    inside = [(here, there) for there, here in _RENAMED_INSIDE]
    found: dict[str, Tensor] = {}
    for name, value in weights.items():
        if name.startswith(("audio_encoder.", "text_encoder.")):
            continue
        match = re.fullmatch(r"(.+\.)([qkv])_proj\.weight", name)
        if match is None:
            found[_renamed(name, swapped, inside)] = value
        elif match[2] == "q":
            parts = [weights[f"{match[1]}{part}_proj.weight"] for part in "qkv"]
            found[_renamed(f"{match[1]}in_proj_weight", swapped, inside)] = torch.cat(parts)
    return found


def codec_from_audiocraft(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of audiocraft's ``EncodecModel`` by their names in transformers' ``EncodecModel``."""
    found = {}
    for name, value in weights.items():
        name = re.sub(r"^(encoder|decoder)\.model\.", r"\1.layers.", name)
        name = re.sub(r"\.(conv\.conv|convtr\.convtr)\.", ".conv.", name)
        name = re.sub(r"^quantizer\.vq\.layers\.(\d+)\._codebook\.", r"quantizer.layers.\1.codebook.", name)
        name = name.replace(".weight_g", ".parametrizations.weight.original0")
        found[name.replace(".weight_v", ".parametrizations.weight.original1")] = value
    return found


def codec_to_audiocraft(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of ``codec_from_audiocraft``."""
    own = {int(match[1]) for name in weights if (match := re.match(r"decoder\.layers\.(\d+)\.conv\.", name))}
    upsampling = tuple(f"decoder.layers.{layer}.conv." for layer in own - {min(own), max(own)})
    found = {}
    for name, value in weights.items():
        convolution = ".convtr.convtr." if name.startswith(upsampling) else ".conv.conv."
        name = re.sub(r"\.conv\.(?=parametrizations|bias)", convolution, name)
        name = name.replace(".parametrizations.weight.original0", ".weight_g")
        name = name.replace(".parametrizations.weight.original1", ".weight_v")
        name = re.sub(r"^(encoder|decoder)\.layers\.", r"\1.model.", name)
        found[re.sub(r"^quantizer\.layers\.(\d+)\.codebook\.", r"quantizer.vq.layers.\1._codebook.", name)] = value
    return found


def _renamed(name: str, beginnings: Iterable[tuple[str, str]], inside: Iterable[tuple[str, str]]) -> str:
    for old, new in beginnings:
        if name.startswith(old):
            name = new + name.removeprefix(old)
            break
    else:
        raise ValueError(f"{name} is not a weight of a MusicGen or AudioGen")
    for old, new in inside:
        name = name.replace(old, new)
    return name
