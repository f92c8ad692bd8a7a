"""A soft prompt: learned states before those of the text (Lester et al. 2021, arXiv 2104.08691).

In MusicGen a prompt of peft's kind, before the codes, would shift the delay pattern of the codebooks; so it stands in
what the decoder attends to. It is there whether the text is or not: of guidance, both sides have it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mtj_api.spec import Training
from mtj_trainer.adaptation.freeze import freeze
from mtj_trainer.adaptation.targets import Targets


class SoftPrompt(nn.Module):
    """Learned states (tokens, width), put before those of a batch."""

    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        self.states = nn.Parameter(torch.empty(tokens, width))
        nn.init.normal_(self.states, std=0.02)

    def forward(self, states: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """(B, L, width) states and the (..., L) mask of those that count to L + tokens of each."""
        learned = self.states.to(states.dtype).expand(len(states), -1, -1)
        if mask is not None:
            mask = torch.cat([mask.new_ones(*mask.shape[:-1], len(self.states)), mask], dim=-1)
        return torch.cat([learned, states], dim=1), mask


@dataclass(frozen=True)
class Prompt:
    """A soft prompt, as the decoder's child ``soft_prompt``.

    Attributes:
        decoder: path of the decoder in the model.
        tokens: learned states.
        width: of a state, as the decoder gets it.
    """

    decoder: str
    tokens: int
    width: int

    def apply(self, model: nn.Module) -> None:
        """See ``Adaptation.apply``. What is drawn follows from PyTorch's random state."""
        freeze(model)
        decoder = model.get_submodule(self.decoder)
        device = next(decoder.parameters()).device
        decoder.soft_prompt = SoftPrompt(self.tokens, self.width).to(device)
        decoder.register_forward_pre_hook(_prompted, with_kwargs=True)

    def stored_name(self, name: str) -> str:
        """See ``Adaptation.stored_name``."""
        return name


def prompt(model: nn.Module, settings: Training, targets: Targets) -> Prompt:
    """What strategy prompt adds."""
    reads = targets.blocks_of(model)[0].get_submodule(targets.states)
    assert isinstance(reads, nn.Linear)
    return Prompt(targets.decoder, settings.peft.tokens, reads.in_features)


def _prompted(
    decoder: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if named.get("encoder_hidden_states") is None:  # in generation, after a first pass whose keys and values are kept
        return inputs, named
    states, mask = decoder.soft_prompt(named["encoder_hidden_states"], named.get("encoder_attention_mask"))
    return inputs, {**named, "encoder_hidden_states": states, "encoder_attention_mask": mask}
