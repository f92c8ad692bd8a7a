"""The contract of a codec for inference, over every kind that there is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import DacConfig, DacModel, EncodecConfig, EncodecModel

from mtj_api import JobError
from mtj_trainer.families.codec import codec_of, load_codec
from mtj_trainer.storage import open_storage


def dac(*strides: int) -> DacModel:
    return DacModel(
        DacConfig(
            encoder_hidden_size=4, decoder_hidden_size=32, downsampling_ratios=strides, n_codebooks=3, codebook_size=16
        )
    )


def encodec(**changes: Any) -> EncodecModel:
    sizes: dict[str, Any] = {"num_filters": 4, "hidden_size": 16, "codebook_size": 64, "num_lstm_layers": 1}
    sizes |= {"target_bandwidths": [0.3, 0.9], "sampling_rate": 16_000}
    model = EncodecModel(EncodecConfig(**{**sizes, **changes}))
    for layer in model.quantizer.layers:  # as transformers makes it, every entry is 0
        torch.nn.init.normal_(layer.codebook.embed)
    return model


CODECS: dict[str, tuple[Callable[[], Any], tuple[int, int, int, int, int]]] = {
    "dac, even strides": (lambda: dac(2, 4, 4, 10), (16_000, 1, 3, 16, 320)),
    "dac, odd strides": (lambda: dac(5, 3, 2, 2), (16_000, 1, 3, 16, 60)),
    "encodec": (encodec, (16_000, 1, 3, 64, 320)),
    "encodec, stereo": (
        lambda: encodec(
            audio_channels=2, upsampling_ratios=[8, 5, 4, 4], target_bandwidths=[2.2], sampling_rate=32_000
        ),
        (32_000, 2, 7, 64, 640),
    ),
}


@pytest.mark.parametrize("name", CODECS)
def test_audio_of_any_length_becomes_whole_frames_and_as_many_samples(name: str) -> None:
    make, sizes = CODECS[name]
    codec = codec_of(make())
    assert (codec.sample_rate, codec.channels, codec.codebooks, codec.codebook_size, codec.hop) == sizes
    for samples in (1, codec.hop - 1, codec.hop, codec.hop + 1, 7 * codec.hop + 13, 30 * codec.hop):
        codes = codec.encode(0.1 * torch.randn(2, codec.channels, samples))
        frames = -(-samples // codec.hop)
        assert codes.shape == (2, codec.codebooks, frames)
        assert codes.dtype == torch.int64
        assert 0 <= int(codes.min()) <= int(codes.max()) < codec.codebook_size
        audio = codec.decode(codes)
        assert audio.shape == (2, codec.channels, frames * codec.hop)
        assert not audio.requires_grad


@pytest.mark.parametrize("make", [lambda: dac(2, 4, 5, 8), encodec])
def test_a_saved_codec_makes_the_same_codes(make: Callable[[], Any], tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = make()
    module.save_pretrained(tmp_path)
    audio = 0.1 * torch.randn(2, 1, 1600)
    codec = load_codec(open_storage(str(tmp_path)))
    codes = codec.encode(audio)
    assert torch.equal(codes, codec_of(module).encode(audio))
    assert int(codes.max()) > int(codes.min())
    torch.testing.assert_close(codec.decode(codes), codec_of(module).decode(codes))


def test_silence_at_the_end_fills_the_last_frame() -> None:
    codec = codec_of(dac(2, 4, 4, 10))
    audio = 0.1 * torch.randn(1, 1, 1000)
    assert torch.equal(codec.encode(audio), codec.encode(torch.nn.functional.pad(audio, (0, 280))))


@pytest.mark.parametrize("shape", [(1, 1, 0), (1, 2, 320), (1, 320)])
def test_audio_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected"):
        codec_of(dac(2, 4, 4, 10)).encode(torch.zeros(shape))


def nothing(folder: Path) -> None:
    del folder


def no_json(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def another_model(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "t5"}')


def no_weights(folder: Path) -> None:
    dac(2, 4, 4, 10).config.save_pretrained(folder)


def half_of_the_weights(folder: Path) -> None:
    dac(2, 4, 4, 10).save_pretrained(folder)
    weights = load_file(folder / "model.safetensors")
    save_file({name: weights[name] for name in list(weights)[::2]}, folder / "model.safetensors", {"format": "pt"})


def torn_weights(folder: Path) -> None:
    dac(2, 4, 4, 10).save_pretrained(folder)
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])


def loudness_beside_the_codes(folder: Path) -> None:
    encodec(normalize=True).save_pretrained(folder)


REFUSED = {
    "there is no codec here": nothing,
    "cannot be read": no_json,
    "a model of type 't5'": another_model,
    "model.safetensors is not here": no_weights,
    "lacks weights": half_of_the_weights,
    "this codec cannot be read": torn_weights,
    "codes alone cannot undo": loudness_beside_the_codes,
}


@pytest.mark.parametrize("said", REFUSED)
def test_what_is_no_usable_codec_is_refused_by_name(said: str, tmp_path: Path) -> None:
    REFUSED[said](tmp_path)
    with pytest.raises(JobError, match=said) as refused:
        load_codec(open_storage(str(tmp_path)))
    assert str(tmp_path) in str(refused.value)
