"""A MusicGen as files: what transformers loads, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from mtj_api import JobError
from mtj_trainer.families.musicgen.pretrained import load_pretrained
from mtj_trainer.families.musicgen.weights import load_model, save_model
from mtj_trainer.storage import open_storage
from support.musicgen import CAPTIONS, dac, encodec, tiny, with_text_width


@pytest.mark.parametrize("codec", [encodec, dac])
@pytest.mark.parametrize("melody", [False, True], ids=["text", "melody"])
def test_a_saved_model_is_the_same_model(codec: Any, melody: bool, tmp_path: Path) -> None:
    model = tiny(codec(), melody=melody)
    save_model(open_storage(str(tmp_path)), model)
    again = load_model(open_storage(str(tmp_path)))
    assert again.context == model.context
    assert again.is_melodic == melody
    assert again.tokenizer(list(CAPTIONS))["input_ids"] == model.tokenizer(list(CAPTIONS))["input_ids"]
    ours, theirs = model.complete.state_dict(), again.complete.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_transformers_loads_and_plays_it_by_its_usual_calls(tmp_path: Path) -> None:
    from transformers import AutoProcessor, MusicgenForConditionalGeneration

    save_model(open_storage(str(tmp_path)), tiny())
    model, processor = (kind.from_pretrained(tmp_path) for kind in (MusicgenForConditionalGeneration, AutoProcessor))
    audio = model.generate(**processor(text=list(CAPTIONS), padding=True, return_tensors="pt"), max_new_tokens=8)
    assert audio.shape == (2, 1, 64 * (8 + 1 - 4))


def test_trained_weights_replace_those_of_the_model(tmp_path: Path) -> None:
    model = tiny()
    trained = {name: value + 1 for name, value in model.step().state_dict().items()}
    save_model(open_storage(str(tmp_path)), model, trained)
    again = load_model(open_storage(str(tmp_path))).complete.state_dict()
    assert all(torch.equal(again[name], value) for name, value in trained.items())
    assert torch.equal(
        again["audio_encoder.quantizer.layers.0.codebook.embed"], encodec().quantizer.layers[0].codebook.embed
    )


def test_a_checkpoint_of_transformers_is_a_model_to_start_from(tmp_path: Path) -> None:
    model = with_text_width(tiny(), 24)
    model.complete.save_pretrained(tmp_path)
    model.tokenizer.save_pretrained(tmp_path)
    again = load_pretrained(str(tmp_path))
    assert again.context == model.context
    assert not again.learns_text
    weights = again.complete.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in model.complete.state_dict().items())


def test_a_tokenizer_of_the_captions_knows_their_words() -> None:
    tokenizer = tiny().tokenizer
    words = tokenizer.convert_ids_to_tokens(tokenizer("A fast, slow chorale: 2/4!")["input_ids"])
    assert words == ["a", "fast", "<unk>", "chorale", "2/4", "</s>"]
    assert tokenizer("")["input_ids"] == [1]


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="there is no published model here") as refused:
        load_model(open_storage(str(tmp_path)))
    assert str(tmp_path) in str(refused.value)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "dac"}))
    with pytest.raises(JobError, match="a model of type 'dac'"):
        load_model(open_storage(str(tmp_path)))
    save_model(open_storage(str(tmp_path)), tiny())
    (tmp_path / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(JobError, match="cannot be read"):
        load_model(open_storage(str(tmp_path)))
