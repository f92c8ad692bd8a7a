"""What each strategy trains of a MusicGen: which weights, how many, and nothing else."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mtj_api import JobError
from mtj_api.spec import Training
from mtj_trainer.adaptation import MUSICGEN, adapt, choose
from support.adaptations import STRATEGIES, training
from support.tiny_musicgen import BLOCKS, FEED_FORWARD, TEXT_WIDTH, WIDTH, Conditioned, inputs, tiny_musicgen

RANK, ALL_ATTENTION = 4, 2 * 4 * BLOCKS
"""Linear layers of attention: query, key, value, out, of what was heard and of the text."""
BLOCK = 8 * WIDTH * WIDTH + 2 * WIDTH * FEED_FORWARD + 3 * 2 * WIDTH


def trained(model: nn.Module) -> dict[str, Tensor]:
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def adapted(settings: Training, seed: int = 0) -> Conditioned:
    model = Conditioned(tiny_musicgen())
    torch.manual_seed(seed)
    adapt(model, settings, MUSICGEN)
    return model


@pytest.mark.parametrize(
    ("settings", "names", "count"),
    [
        (training("lora"), r"_attn\.(q|k|v|out)_proj\.lora_[AB]\.", ALL_ATTENTION * RANK * 2 * WIDTH),
        (training("lora", rank=1, targets=["fc1"]), r"\.fc1\.lora_[AB]\.", BLOCKS * (WIDTH + FEED_FORWARD)),
        (
            training("lora", targets=["self_attn.q_proj"]),
            r"self_attn\.q_proj\.lora_[AB]\.",
            BLOCKS * RANK * 2 * WIDTH,
        ),
        (
            training("dora"),
            r"_attn\.(q|k|v|out)_proj\.lora_(A|B|magnitude_vector)\.",
            ALL_ATTENTION * (RANK * 2 * WIDTH + WIDTH),
        ),
        (training("ia3"), r"(k_proj|v_proj|fc2)\.ia3_l\.", BLOCKS * (4 * WIDTH + FEED_FORWARD)),
        (training("ia3", targets=["fc1"]), r"fc1\.ia3_l\.", BLOCKS * FEED_FORWARD),
        (training("adapter"), r"fc2\.adapter\.", BLOCKS * (2 * 3 * WIDTH + 3 + WIDTH)),
        (
            training("adapter", targets=["out_proj", "fc2"]),
            r"(out_proj|fc2)\.adapter\.",
            3 * BLOCKS * (2 * 3 * WIDTH + 3 + WIDTH),
        ),
        (training("prompt"), r"decoder\.soft_prompt\.states", 5 * WIDTH),
        (training("selective", last_blocks=1), rf"layers\.{BLOCKS - 1}\.", BLOCK),
        (training("selective", biases=True), r"norm\.bias", (3 * BLOCKS + 1) * WIDTH),
        (training("selective", norms=True), r"norm\.(weight|bias)", 2 * (3 * BLOCKS + 1) * WIDTH),
        (training("selective", patterns=["enc_to_dec_proj.*"]), r"enc_to_dec_proj\.", WIDTH * (TEXT_WIDTH + 1)),
        (
            training("selective", patterns=["*.0.fc1.weight"], last_blocks=1),
            r"layers\.(0\.fc1|1)\.",
            BLOCK + WIDTH * FEED_FORWARD,
        ),
    ],
    ids=lambda value: value.strategy if isinstance(value, Training) else "",
)
def test_what_is_trained_is_what_was_meant(settings: Training, names: str, count: int) -> None:
    found = trained(adapted(settings))
    assert sum(parameter.numel() for parameter in found.values()) == count
    assert [name for name in found if not re.search(names, name)] == []


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_only_that_changes_as_training_goes_on_and_the_output_with_it(strategy: str) -> None:
    model = adapted(training(strategy))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    heard = model(*inputs()).detach()
    optimizer = torch.optim.AdamW(trained(model).values(), lr=0.1)
    for seed in range(2):  # what starts at 0 passes a gradient on only when it has moved
        model(*inputs(seed=seed)).square().sum().backward()
        optimizer.step()
    after = model.state_dict()
    assert {name for name, tensor in before.items() if not torch.equal(tensor, after[name])} == trained(model).keys()
    assert (model(*inputs()) - heard).abs().max() > 1e-4


@pytest.mark.parametrize("strategy", [name for name in STRATEGIES if name != "prompt"])
def test_what_is_added_changes_nothing_at_first(strategy: str) -> None:
    plain = Conditioned(tiny_musicgen())
    assert torch.allclose(adapted(training(strategy))(*inputs()), plain(*inputs()), atol=1e-6)


@pytest.mark.parametrize("strategy", ["lora", "adapter", "prompt"])
def test_what_is_drawn_follows_from_the_random_state(strategy: str) -> None:
    first, same, other = (trained(adapted(training(strategy), seed)) for seed in (0, 0, 1))
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_choosing_leaves_the_model_alone() -> None:
    model = Conditioned(tiny_musicgen())
    names = list(model.state_dict())
    for strategy in STRATEGIES:
        choose(model, training(strategy), MUSICGEN)
    assert list(model.state_dict()) == names
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_prompt_of_hidden_states_is_the_same_for_all_and_is_never_masked() -> None:
    model = adapted(training("prompt"))
    codes, states, mask = inputs()
    seen: list[dict[str, Any]] = []
    block = model.decoder.model.decoder.layers[0]
    block.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append({"states": args[2], **kwargs}), with_kwargs=True
    )
    model(codes, states, torch.zeros_like(mask))
    (heard,) = seen
    assert heard["states"].shape == (2, 5 + 3, WIDTH)
    assert torch.equal(heard["states"][0, :5], heard["states"][1, :5])
    assert heard["states"][:, 5:].abs().max() == 0
    assert heard["encoder_attention_mask"][..., 0, :].flatten(0, 1).tolist() == [[True] * 5 + [False] * 3] * 2


ATTENTION = "self_attn.k_proj, self_attn.v_proj, self_attn.q_proj, self_attn.out_proj"


@pytest.mark.parametrize(
    ("settings", "where", "says"),
    [
        (
            training("lora", targets=["q_proj", "query"]),
            "spec.training.peft.targets",
            f"query; write some of {ATTENTION}",
        ),
        (training("lora", targets=["roj"]), "spec.training.peft.targets", "is named roj"),
        (training("ia3", targets=["self_attn"]), "spec.training.peft.targets", "fc1, fc2"),
        (training("adapter", targets=["SelfAttention.k"]), "spec.training.peft.targets", "fc1, fc2"),
        (
            training("selective", patterns=["*.bias", "lm_head.*"]),
            "spec.training.selective.patterns",
            "lm_heads.0.weight",
        ),
        (training("selective", last_blocks=3), "spec.training.selective.lastBlocks", "write 2 at most"),
    ],
    ids=lambda value: "" if isinstance(value, Training) else value.split(".")[-1],
)
def test_a_name_that_is_not_there_is_answered_with_those_that_are(settings: Training, where: str, says: str) -> None:
    model = Conditioned(tiny_musicgen())
    with pytest.raises(JobError, match=re.escape(says)) as raised:
        adapt(model, settings, MUSICGEN)
    assert raised.value.where == where
    assert all(parameter.requires_grad for parameter in model.parameters()), "nothing was done yet"


def test_a_text_encoder_with_layers_of_the_same_names_stays_as_it_is() -> None:
    for strategy in STRATEGIES:
        model = Conditioned(tiny_musicgen())
        model.text_encoder = nn.ModuleDict({"layers": nn.ModuleList([nn.ModuleDict({"q_proj": nn.Linear(4, 4)})])})
        adapt(model, training(strategy), MUSICGEN)
        assert [name for name in trained(model) if name.startswith("text_encoder")] == []
