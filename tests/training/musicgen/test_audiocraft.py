"""audiocraft's checkpoints: their names, and that a model comes back from them as it went in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from mtj_api import JobError
from mtj_trainer.families.musicgen.audiocraft import (
    codec_from_audiocraft,
    codec_to_audiocraft,
    language_model_from_audiocraft,
    language_model_to_audiocraft,
)
from mtj_trainer.families.musicgen.audiocraft_checkpoint import COMPRESSION_MODEL, LANGUAGE_MODEL, write_audiocraft
from mtj_trainer.families.musicgen.complete import MusicGen
from mtj_trainer.families.musicgen.pretrained import load_pretrained
from support.musicgen import encodec, tiny, with_text_width

LAYER = "transformer.layers.1"
TEXT = "condition_provider.conditioners.description.output_proj"
LANGUAGE_NAMES = {
    "emb.3.weight": "decoder.model.decoder.embed_tokens.3.weight",
    f"{LAYER}.self_attn.out_proj.weight": "decoder.model.decoder.layers.1.self_attn.out_proj.weight",
    f"{LAYER}.cross_attention.out_proj.weight": "decoder.model.decoder.layers.1.encoder_attn.out_proj.weight",
    f"{LAYER}.linear1.weight": "decoder.model.decoder.layers.1.fc1.weight",
    f"{LAYER}.linear2.weight": "decoder.model.decoder.layers.1.fc2.weight",
    f"{LAYER}.norm1.bias": "decoder.model.decoder.layers.1.self_attn_layer_norm.bias",
    f"{LAYER}.norm_cross.weight": "decoder.model.decoder.layers.1.encoder_attn_layer_norm.weight",
    f"{LAYER}.norm2.weight": "decoder.model.decoder.layers.1.final_layer_norm.weight",
    "out_norm.weight": "decoder.model.decoder.layer_norm.weight",
    "linears.2.weight": "decoder.lm_heads.2.weight",
    f"{TEXT}.bias": "enc_to_dec_proj.bias",
    "condition_provider.conditioners.self_wav.output_proj.weight": "audio_enc_to_dec_proj.weight",
}
CODEC_NAMES = {
    "encoder.model.0.conv.conv.bias": "encoder.layers.0.conv.bias",
    "encoder.model.1.block.3.conv.conv.weight_v": "encoder.layers.1.block.3.conv.parametrizations.weight.original1",
    "encoder.model.1.shortcut.conv.conv.weight_g": "encoder.layers.1.shortcut.conv.parametrizations.weight.original0",
    "encoder.model.13.lstm.weight_ih_l0": "encoder.layers.13.lstm.weight_ih_l0",
    "decoder.model.0.conv.conv.weight_g": "decoder.layers.0.conv.parametrizations.weight.original0",
    "decoder.model.3.convtr.convtr.weight_v": "decoder.layers.3.conv.parametrizations.weight.original1",
    "decoder.model.3.convtr.convtr.bias": "decoder.layers.3.conv.bias",
    "decoder.model.4.block.1.conv.conv.bias": "decoder.layers.4.block.1.conv.bias",
    "decoder.model.15.conv.conv.bias": "decoder.layers.15.conv.bias",
    "quantizer.vq.layers.2._codebook.embed": "quantizer.layers.2.codebook.embed",
}


@pytest.mark.parametrize(("there", "here"), LANGUAGE_NAMES.items())
def test_names_of_the_language_model(there: str, here: str) -> None:
    weight = torch.ones(2)
    assert list(language_model_from_audiocraft({there: weight})) == [here]
    assert list(language_model_to_audiocraft({here: weight})) == [there]


def test_names_of_the_codec() -> None:
    ours = encodec().state_dict()
    theirs = codec_to_audiocraft(ours)
    assert len(theirs) == len(ours)
    for there, here in CODEC_NAMES.items():
        assert theirs[there] is ours[here]
    assert codec_from_audiocraft(theirs).keys() == ours.keys()


def test_queries_keys_and_values_lie_in_one_matrix_there() -> None:
    name = f"{LAYER}.self_attn.in_proj_weight"
    whole = torch.arange(18.0).view(9, 2)
    ours = language_model_from_audiocraft({name: whole})
    assert {key.rsplit(".", 2)[1]: rows[0, 0].item() for key, rows in ours.items()} == {
        "q_proj": 0.0,
        "k_proj": 6.0,
        "v_proj": 12.0,
    }
    assert torch.equal(language_model_to_audiocraft(ours)[name], whole)


@pytest.mark.parametrize("melody", [False, True])
def test_a_model_comes_back_from_audiocrafts_files(melody: bool, tmp_path: Path) -> None:
    model = with_text_width(tiny(melody=melody), 24)
    again = load_pretrained(str(written(model, tmp_path)))
    assert again.is_melodic == melody
    assert again.context == model.context
    ours, theirs = model.complete.state_dict(), again.complete.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    audio = torch.randn(1, 1, 640)
    codec, codec_again = model.complete.audio_encoder, again.complete.audio_encoder
    assert torch.equal(codec.encode(audio).audio_codes, codec_again.encode(audio).audio_codes)


def test_files_that_are_no_checkpoint_are_refused(tmp_path: Path) -> None:
    folder = written(tiny(), tmp_path)
    (folder / COMPRESSION_MODEL).unlink()
    with pytest.raises(JobError, match=f"there is no {COMPRESSION_MODEL}"):
        load_pretrained(str(folder))
    torch.save({"best_state": {"surprise": torch.ones(1)}}, folder / LANGUAGE_MODEL)
    with pytest.raises(JobError, match=r"xp\.cfg, are missing"):
        load_pretrained(str(folder))
    torch.save(_Code(), folder / LANGUAGE_MODEL)
    with pytest.raises(JobError, match="no file of weights"):
        load_pretrained(str(folder))


class _Code:
    """Something that would be run where weights are not all that is read."""

    def __reduce__(self) -> Any:
        return print, ("run",)


def written(model: MusicGen, folder: Path) -> Path:
    """audiocraft's files of a model, whose text encoder lies beside them in place of a published one."""
    text = folder / "t5"
    model.complete.text_encoder.save_pretrained(text)
    model.tokenizer.save_pretrained(text)
    write_audiocraft(model, folder, str(text))
    return folder
