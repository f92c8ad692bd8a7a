"""Where the models of a family can be adapted, by the names of their modules."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import nn

from mtj_api import JobError

WHERE = "spec.training.peft.targets"


@dataclass(frozen=True)
class Targets:
    """The names of a family's modules.

    Modules are named by the ends of their names, such as ``q_proj`` or ``self_attn.q_proj``. Only those in the
    decoder's blocks are ever adapted: a text encoder beside it has modules of its own, and stays as it is.

    Attributes:
        decoder: path, in the model, of the stack of blocks with what is around it; it is called with
            ``encoder_hidden_states`` and ``encoder_attention_mask``.
        blocks: path of the list of blocks in the decoder.
        states: in a block, a projection that reads the states of the text.
        low_rank: what lora and dora adapt.
        scaled: what ia3 scales: keys, values and the inner activations of the feed-forward layer.
        scaled_before: of these, those whose input is scaled rather than their output.
        followed: what a bottleneck adapter follows.
    """

    decoder: str
    blocks: str
    states: str
    low_rank: tuple[str, ...]
    scaled: tuple[str, ...]
    scaled_before: tuple[str, ...]
    followed: tuple[str, ...]

    def blocks_of(self, model: nn.Module) -> nn.ModuleList:
        """The decoder's blocks."""
        blocks = model.get_submodule(self.blocks_path)
        assert isinstance(blocks, nn.ModuleList)
        return blocks

    @property
    def blocks_path(self) -> str:
        """The path of the blocks in the model."""
        return f"{self.decoder}.{self.blocks}"

    def pattern(self, ends: Sequence[str]) -> str:
        """A regular expression for the names of modules in a block that end so."""
        named = "|".join(re.escape(end) for end in ends)
        return rf"{re.escape(self.blocks_path)}\.\d+\.(?:.*\.)?(?:{named})"

    def linear(self, model: nn.Module, ends: Sequence[str]) -> list[str]:
        """Names of the linear layers in blocks that end in any of ``ends``, in the model's order.

        Raises:
            JobError: one of the ends is the end of none.
        """
        path = self.blocks_path
        there = {
            f"{path}.{name}": name.partition(".")[2]
            for name, module in self.blocks_of(model).named_modules()
            if isinstance(module, nn.Linear)
        }
        for end in ends:
            if not any(_ends(name, end) for name in there.values()):
                raise JobError(
                    f"no linear layer of a block is named {end}",
                    where=WHERE,
                    instead=f"write some of {', '.join(dict.fromkeys(there.values()))}",
                )
        return [whole for whole, name in there.items() if any(_ends(name, end) for end in ends)]


def _ends(name: str, end: str) -> bool:
    return f".{name}".endswith(f".{end}")


MUSICGEN = Targets(
    decoder="decoder.model.decoder",
    blocks="layers",
    states="encoder_attn.k_proj",
    low_rank=("q_proj", "k_proj", "v_proj", "out_proj"),
    scaled=("k_proj", "v_proj", "fc2"),
    scaled_before=("fc2",),
    followed=("fc2",),
)
"""``MusicgenForConditionalGeneration``, which AudioGen is too, and any module with its decoder as ``decoder``."""

MUSICGEN_MELODY = replace(MUSICGEN, states="self_attn.k_proj")
"""``MusicgenMelodyForConditionalGeneration``, whose decoder reads the states before the music."""
