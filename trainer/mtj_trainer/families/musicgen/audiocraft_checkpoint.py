"""audiocraft's folders of MusicGen and AudioGen: read as a model of transformers, and written from one.

A folder holds ``state_dict.bin`` (the decoder with the projections of its conditions) and
``compression_state_dict.bin`` (EnCodec); each is a dictionary with the weights under ``best_state`` and the settings,
as YAML, under ``xp.cfg``. The text encoder is not in it: it is the published T5 of the name that the settings give.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import torch
import yaml

from mtj_api import JobError
from mtj_trainer.families.musicgen.audiocraft import (
    codec_from_audiocraft,
    codec_to_audiocraft,
    language_model_from_audiocraft,
    language_model_to_audiocraft,
)
from mtj_trainer.families.musicgen.complete import MusicGen
from mtj_trainer.families.musicgen.configure import configure
from mtj_trainer.families.musicgen.melody import CHROMA, ChromaSettings
from mtj_trainer.families.quiet import quiet_transformers

LANGUAGE_MODEL, COMPRESSION_MODEL = "state_dict.bin", "compression_state_dict.bin"

NEVER_THERE = "decoder.model.decoder.embed_positions"
"""Computed, not learned."""

MOST_SETTINGS = 10_000
"""Of a checkpoint: theirs are some hundreds, and aliases and references can make any number of few."""


def is_audiocraft(folder: Path) -> bool:
    """Whether a folder holds audiocraft's files."""
    return (folder / LANGUAGE_MODEL).is_file()


def read_audiocraft(folder: Path, name: str) -> MusicGen:
    """The model in a folder of audiocraft's files.

    Args:
        name: what the folder is called where something is wrong with it.

    Raises:
        JobError: a file is missing, is not a checkpoint of a MusicGen or AudioGen, or lacks weights.
    """
    import transformers

    quiet_transformers()
    package = _read(folder / LANGUAGE_MODEL, name)
    settings = _settings(package, name)
    codec = _read_codec(folder, name)
    text = settings["conditioners"]["description"]["t5"]["name"]
    text_encoder = transformers.T5EncoderModel.from_pretrained(text, use_safetensors=True)
    tokenizer = transformers.AutoTokenizer.from_pretrained(text, trust_remote_code=False)
    sizes = settings["transformer_lm"]
    melodic = "self_wav" in settings["conditioners"]
    context = round(
        float(settings["dataset"]["segment_duration"]) * codec.config.sampling_rate / codec.config.hop_length
    )
    chroma_length = math.ceil(context * codec.config.hop_length / ChromaSettings.at(codec.config.sampling_rate).hop)
    prefix = "MusicgenMelody" if melodic else "Musicgen"
    decoder = getattr(transformers, f"{prefix}DecoderConfig")(
        vocab_size=sizes["card"],
        num_codebooks=sizes["n_q"],
        audio_channels=2 if settings.get("interleave_stereo_codebooks", {}).get("use") else 1,
        num_hidden_layers=sizes["num_layers"],
        hidden_size=sizes["dim"],
        num_attention_heads=sizes["num_heads"],
        ffn_dim=int(sizes["dim"] * sizes["hidden_scale"]),
        dropout=0.0,
        pad_token_id=sizes["card"],
        bos_token_id=sizes["card"],
    )
    known = {"num_chroma": CHROMA, "chroma_length": chroma_length} if melodic else {}
    config = getattr(transformers, f"{prefix}Config")(
        text_encoder=text_encoder.config, audio_encoder=codec.config, decoder=decoder, **known
    )
    complete = getattr(transformers, f"{prefix}ForConditionalGeneration")(
        config,
        text_encoder=text_encoder,
        audio_encoder=codec,
        decoder=getattr(transformers, f"{prefix}ForCausalLM")(decoder),
    )
    try:
        weights = language_model_from_audiocraft(package["best_state"])
    except ValueError as error:
        raise _unreadable(str(error), name) from None
    missing, unexpected = complete.load_state_dict(weights, strict=False)
    missing = [key for key in missing if not key.startswith(("audio_encoder.", "text_encoder."))]
    if missing or unexpected:
        raise _unreadable(f"its weights and settings differ in {sorted([*missing, *unexpected])[0]}", name)
    configure(complete, context)
    return MusicGen(complete.eval(), tokenizer, context)


def write_audiocraft(model: MusicGen, folder: Path, text_encoder: str) -> None:
    """Write a model over an EnCodec as audiocraft's two files.

    Args:
        text_encoder: the published T5 that it listens to, by the name that audiocraft knows, such as ``t5-base``.
    """
    complete, decoder = model.complete, model.complete.config.decoder
    codec = complete.audio_encoder.config
    conditioners: dict[str, Any] = {"description": {"model": "t5", "t5": {"name": text_encoder}}}
    if model.is_melodic:
        conditioners["self_wav"] = {"model": "chroma_stem", "chroma_stem": {"n_chroma": CHROMA}}
    settings = {
        "sample_rate": codec.sampling_rate,
        "channels": codec.audio_channels,
        "dataset": {"segment_duration": model.context * codec.hop_length / codec.sampling_rate},
        "conditioners": conditioners,
        "interleave_stereo_codebooks": {"use": model.channels == 2},
        "transformer_lm": {
            "card": decoder.vocab_size,
            "n_q": decoder.num_codebooks,
            "num_layers": decoder.num_hidden_layers,
            "dim": decoder.hidden_size,
            "num_heads": decoder.num_attention_heads,
            "hidden_scale": decoder.ffn_dim / decoder.hidden_size,
        },
    }
    _write(folder / LANGUAGE_MODEL, language_model_to_audiocraft(complete.state_dict()), settings)
    _write(folder / COMPRESSION_MODEL, codec_to_audiocraft(complete.audio_encoder.state_dict()), _codec_settings(codec))


def _read_codec(folder: Path, name: str) -> Any:
    import transformers

    package = _read(folder / COMPRESSION_MODEL, name)
    if "pretrained" in package:
        return transformers.EncodecModel.from_pretrained(
            package["pretrained"].removeprefix("//pretrained/"), use_safetensors=True
        )
    settings = _settings(package, name)
    net, quantizer = settings["seanet"], settings["rvq"]
    rate, hop = settings["sample_rate"], math.prod(net["ratios"])
    config = transformers.EncodecConfig(
        sampling_rate=rate,
        audio_channels=settings["channels"],
        upsampling_ratios=net["ratios"],
        hidden_size=net["dimension"],
        num_filters=net["n_filters"],
        num_residual_layers=net["n_residual_layers"],
        norm_type=net["norm"],
        kernel_size=net["kernel_size"],
        last_kernel_size=net["last_kernel_size"],
        residual_kernel_size=net["residual_kernel_size"],
        dilation_growth_rate=net["dilation_base"],
        use_causal_conv=net["causal"],
        pad_mode=net["pad_mode"],
        compress=net["compress"],
        num_lstm_layers=net["lstm"],
        use_conv_shortcut=not net["true_skip"],
        codebook_size=quantizer["bins"],
        target_bandwidths=[quantizer["n_q"] * math.log2(quantizer["bins"]) * rate / hop / 1000],
    )
    codec = transformers.EncodecModel(config)
    try:
        codec.load_state_dict(codec_from_audiocraft(package["best_state"]))
    except RuntimeError as error:
        raise _unreadable(f"{COMPRESSION_MODEL}: {str(error).splitlines()[1].strip()}", name) from None
    return codec


def _codec_settings(config: Any) -> dict[str, Any]:
    rate = config.sampling_rate / config.hop_length
    return {
        "sample_rate": config.sampling_rate,
        "channels": config.audio_channels,
        "seanet": {
            "ratios": list(config.upsampling_ratios),
            "dimension": config.hidden_size,
            "n_filters": config.num_filters,
            "n_residual_layers": config.num_residual_layers,
            "norm": config.norm_type,
            "kernel_size": config.kernel_size,
            "last_kernel_size": config.last_kernel_size,
            "residual_kernel_size": config.residual_kernel_size,
            "dilation_base": config.dilation_growth_rate,
            "causal": config.use_causal_conv,
            "pad_mode": config.pad_mode,
            "compress": config.compress,
            "lstm": config.num_lstm_layers,
            "true_skip": not config.use_conv_shortcut,
        },
        "rvq": {
            "bins": config.codebook_size,
            "n_q": int(1000 * max(config.target_bandwidths) / (rate * math.log2(config.codebook_size))),
        },
    }


def _read(path: Path, name: str) -> dict[str, Any]:
    try:
        package = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise _unreadable(f"there is no {path.name}", name) from None
    except Exception as error:  # torch raises many kinds for what is no checkpoint, and for one that runs code
        raise _unreadable(f"{path.name} is no file of weights: {str(error).splitlines()[0]}", name) from None
    if not isinstance(package, dict) or not ("best_state" in package or "pretrained" in package):
        raise _unreadable(f"{path.name} has no best_state", name)
    return package


def _settings(package: dict[str, Any], name: str) -> dict[str, Any]:
    """The settings, with references such as ``${sample_rate}`` replaced by what they refer to."""
    try:
        settings: dict[str, Any] = yaml.safe_load(package["xp.cfg"])
    except (KeyError, RecursionError, yaml.YAMLError) as error:
        raise _unreadable(f"its settings, xp.cfg, are missing or no YAML ({error})", name) from None

    left = MOST_SETTINGS

    def resolved(value: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise _unreadable("its settings, xp.cfg, multiply", name)
        if isinstance(value, dict):
            return {key: resolved(inner) for key, inner in value.items()}
        match = re.fullmatch(r"\$\{([\w.]+)\}", value) if isinstance(value, str) else None
        if match is None:
            return value
        found: Any = settings
        for key in match[1].split("."):
            found = found.get(key) if isinstance(found, dict) else None
        return resolved(found)

    try:
        whole: dict[str, Any] = resolved(settings)
    except RecursionError:
        raise _unreadable("its settings, xp.cfg, refer to themselves", name) from None
    return whole


def _write(path: Path, weights: dict[str, torch.Tensor], settings: dict[str, Any]) -> None:
    weights = {name: value.detach().cpu().clone() for name, value in weights.items()}
    torch.save({"best_state": weights, "xp.cfg": yaml.safe_dump(settings), "version": "1.3.0", "exported": True}, path)


def _unreadable(what: str, name: str) -> JobError:
    return JobError(
        f"this checkpoint of audiocraft cannot be read: {what}",
        where=name,
        instead="name a folder with both files, or the same model as transformers saves it",
    )
