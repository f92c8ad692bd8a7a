"""An adaptation alone: saved, loaded by us and by peft, and merged into the model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

from mtj_api import JobError
from mtj_trainer.adaptation import MUSICGEN, adapt, holds_adaptation, load_adaptation, merge, save_adaptation
from mtj_trainer.storage import Storage, open_storage
from mtj_trainer.train.engine.changing import changing
from support.adaptations import STRATEGIES, training
from support.tiny_musicgen import Conditioned, inputs, tiny_musicgen

PEFT = ("lora", "dora", "ia3")


def saved(folder: Storage, strategy: str, **settings: Any) -> Conditioned:
    """A model whose adaptation has been trained, which is saved to ``folder``."""
    model = Conditioned(tiny_musicgen())
    torch.manual_seed(0)
    adaptation = adapt(model, training(strategy, **settings), MUSICGEN)
    for tensor in changing(model).values():
        tensor.add_(torch.randn_like(tensor), alpha=0.3)
    save_adaptation(folder, adaptation, changing(model), base="s3://music/models/base")
    return model


def logits(whole: Any) -> Tensor:
    """Of the published model, by its own forward."""
    codes, states, mask = inputs()
    return whole(encoder_outputs=(states,), attention_mask=mask, decoder_input_ids=codes.flatten(0, 1)).logits


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_is_saved_alone_is_loaded_into_the_published_model_exactly(tmp_path: Path, strategy: str) -> None:
    folder = open_storage(str(tmp_path))
    model = saved(folder, strategy)
    assert holds_adaptation(folder)
    whole = tiny_musicgen()
    load_adaptation(whole, folder)
    assert torch.equal(logits(whole), model(*inputs()))
    own, loaded = changing(model), changing(whole)
    assert own.keys() == loaded.keys()
    assert all(torch.equal(tensor, loaded[name]) for name, tensor in own.items())
    (weights,) = tmp_path.glob("*.safetensors")
    with safe_open(weights, "pt") as file:
        assert sum(file.get_tensor(name).numel() for name in file.keys()) == sum(t.numel() for t in own.values())  # noqa: SIM118


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")  # peft asks for it
@pytest.mark.parametrize(
    ("strategy", "settings"),
    [
        ("lora", {}),
        ("dora", {}),
        ("ia3", {}),
        ("lora", {"targets": ["self_attn.q_proj", "fc1"]}),
        ("ia3", {"targets": ["k_proj"]}),
    ],
)
def test_peft_loads_it_onto_the_published_model(tmp_path: Path, strategy: str, settings: dict[str, Any]) -> None:
    from peft import PeftModel

    model = saved(open_storage(str(tmp_path)), strategy, **settings)
    base = tiny_musicgen()
    loaded = PeftModel.from_pretrained(base, tmp_path)
    assert torch.equal(logits(loaded), model(*inputs()))
    assert torch.allclose(logits(loaded.merge_and_unload()), model(*inputs()), atol=1e-5)
    assert (
        json.loads((tmp_path / "adapter_config.json").read_text())["base_model_name_or_path"]
        == "s3://music/models/base"
    )


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
@pytest.mark.parametrize("strategy", ["LoraConfig", "LoHaConfig"])
def test_what_peft_has_saved_is_loaded(tmp_path: Path, strategy: str) -> None:
    import peft

    theirs = peft.get_peft_model(tiny_musicgen(), getattr(peft, strategy)(target_modules=["q_proj", "fc1"]))
    for tensor in changing(theirs).values():
        tensor.add_(torch.randn_like(tensor), alpha=0.3)
    theirs.save_pretrained(tmp_path)
    whole = tiny_musicgen()
    load_adaptation(whole, open_storage(str(tmp_path)))
    assert torch.equal(logits(whole), logits(theirs))


@pytest.mark.parametrize("strategy", [*PEFT, "selective"])
def test_a_merged_model_is_a_plain_one_that_gives_the_same(tmp_path: Path, strategy: str) -> None:
    folder = open_storage(str(tmp_path / "adaptation"))
    model = saved(folder, strategy)
    whole = tiny_musicgen()
    load_adaptation(whole, folder)
    merge(whole)
    assert torch.allclose(logits(whole), model(*inputs()), atol=1e-5)
    assert not torch.allclose(logits(whole), logits(tiny_musicgen()), atol=1e-4)
    assert list(whole.state_dict()) == list(tiny_musicgen().state_dict())
    whole.save_pretrained(tmp_path / "merged")
    again = type(whole).from_pretrained(tmp_path / "merged").eval()
    assert torch.equal(logits(again), logits(whole))


@pytest.mark.parametrize("strategy", ["adapter", "prompt"])
def test_what_no_weight_can_hold_is_not_merged(tmp_path: Path, strategy: str) -> None:
    model = saved(open_storage(str(tmp_path)), strategy)
    with pytest.raises(JobError, match="cannot be merged"):
        merge(model)


def test_a_bare_decoder_is_given_its_name(tmp_path: Path) -> None:
    folder = open_storage(str(tmp_path))
    model = saved(folder, "lora")
    bare = tiny_musicgen().decoder
    load_adaptation(nn.ModuleDict({"decoder": bare}), folder)
    codes, _, _ = inputs()
    assert torch.equal(bare(codes.flatten(0, 1)).logits, model.decoder(codes.flatten(0, 1)).logits)


@pytest.mark.parametrize("strategy", ["lora", "adapter", "prompt"])
def test_an_adapted_model_generates(tmp_path: Path, strategy: str) -> None:
    """With guidance, and keys and values that are kept: what ``generate`` does to states and masks fits."""
    folder = open_storage(str(tmp_path))
    saved(folder, strategy)
    whole = tiny_musicgen()
    load_adaptation(whole, folder)
    tokens = torch.tensor([[3, 4, 5], [3, 4, 0]])
    wanted = {"inputs": tokens, "attention_mask": (tokens > 0).long(), "max_new_tokens": 4, "do_sample": False}
    kept, anew = (whole.generate(**wanted, guidance_scale=3.0, use_cache=use) for use in (True, False))
    assert torch.isfinite(kept).all()
    assert torch.allclose(kept, anew, atol=1e-5)


def broken(folder: Path, how: str) -> None:
    config, weights = folder / "adaptation.json", folder / "adaptation.safetensors"
    if how == "empty":
        config.unlink()
        weights.unlink()
    elif how == "half":
        weights.write_bytes(weights.read_bytes()[:-8])
    elif how == "unknown":
        config.write_text(json.dumps({"strategy": "prefix", "base": None}))
    else:
        values = json.loads(config.read_text())
        config.write_text(json.dumps({**values, "bottleneck": 8}))


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("empty", "there is no adaptation here"),
        ("half", "cannot be read"),
        ("unknown", "cannot be read"),
        ("other sizes", "belongs to another model"),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path: Path, how: str, says: str) -> None:
    folder = open_storage(str(tmp_path))
    saved(folder, "adapter")
    broken(tmp_path, how)
    with pytest.raises(JobError, match=says) as raised:
        load_adaptation(tiny_musicgen(), folder)
    assert raised.value.where == folder.url
