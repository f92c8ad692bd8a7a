"""Layers that peft puts in the place of linear ones: LoRA, DoRA and (IA)^3.

Hu et al. 2021 (arXiv 2106.09685), Liu et al. 2024 (arXiv 2402.09353), Liu et al. 2022 (arXiv 2205.05638). They are
injected: the model stays of its own class, with its own forward, so that whatever wraps it (DDP, DeepSpeed) or calls
it does as before. Only the frozen weight of a linear layer gets another name, ``q_proj.base_layer.weight``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn

from mtj_api.spec import Training
from mtj_trainer.adaptation.freeze import freeze
from mtj_trainer.adaptation.targets import Targets

if TYPE_CHECKING:
    from peft import PeftConfig


@dataclass(frozen=True)
class Injected:
    """Layers of peft.

    Attributes:
        config: peft's own, as in its ``adapter_config.json``.
    """

    config: Mapping[str, Any]

    def apply(self, model: nn.Module) -> None:
        """See ``Adaptation.apply``. What is drawn follows from PyTorch's random state."""
        from peft import PeftConfig, inject_adapter_in_model

        freeze(model)
        inject_adapter_in_model(PeftConfig.from_peft_type(**self.config), model)

    def stored_name(self, name: str) -> str:
        """See ``Adaptation.stored_name``: peft writes neither the adapter's name nor that a magnitude is a weight."""
        bare = name.replace(".default", "")
        return "base_model.model." + bare.replace("lora_magnitude_vector.weight", "lora_magnitude_vector")


def injected_layers(model: nn.Module) -> dict[str, Any]:
    """peft's layers in a model, by name.

    They read weights of the layers within them without calling these, as DoRA does for its norms: whoever divides
    weights among processes has to bring together all those of such a layer at once.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    return {name: module for name, module in model.named_modules() if isinstance(module, BaseTunerLayer)}


def low_rank(model: nn.Module, settings: Training, targets: Targets) -> Injected:
    """What lora and dora add: to each weight (out, in) a product of (out, rank) and (rank, in), times alpha / rank.

    Raises:
        JobError: a target is not there.
    """
    from peft import LoraConfig

    peft = settings.peft
    ends = peft.targets or targets.low_rank
    targets.linear(model, ends)
    return _injected(
        LoraConfig(
            r=peft.rank,
            lora_alpha=peft.alpha,  # type: ignore[arg-type]  # peft says int, and only divides by it
            lora_dropout=peft.dropout,
            target_modules=targets.pattern(ends),
            use_dora=settings.strategy == "dora",
        )
    )


def scaled(model: nn.Module, settings: Training, targets: Targets) -> Injected:
    """What ia3 adds: a factor for each output of a layer, or each input where the family says so.

    Raises:
        JobError: a target is not there.
    """
    from peft import IA3Config

    ends = settings.peft.targets or targets.scaled
    targets.linear(model, ends)
    before = [end for end in ends if end.rpartition(".")[2] in targets.scaled_before]
    return _injected(
        IA3Config(
            target_modules=targets.pattern(ends),
            feedforward_modules=targets.pattern(before) if before else [],
        )
    )


def _injected(config: PeftConfig) -> Injected:
    return Injected({name: _plain(value) for name, value in config.to_dict().items()})


def _plain(value: Any) -> Any:
    """As JSON has it."""
    return sorted(value) if isinstance(value, set) else value
