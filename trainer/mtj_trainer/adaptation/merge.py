"""An adapted model as a plain one."""

from __future__ import annotations

from torch import nn

from mtj_api import JobError
from mtj_trainer.adaptation.bottleneck import Bottleneck
from mtj_trainer.adaptation.injected import injected_layers
from mtj_trainer.adaptation.prompt import SoftPrompt


def merge(model: nn.Module) -> None:
    """Work what was trained into the model's own weights, in place: it has its former names and costs again, and
    every weight asks for a gradient.

    Raises:
        JobError: it was adapted by what no weight of it can hold: an adapter or a prompt.
    """
    if any(isinstance(module, Bottleneck | SoftPrompt) for module in model.modules()):
        raise JobError(
            "adapters and prompts cannot be merged into the model",
            where="spec.training.strategy",
            instead="load them beside it, or write lora, dora or ia3",
        )
    injected = injected_layers(model)
    for name, layer in injected.items():
        layer.merge(safe_merge=True)
        path, _, last = name.rpartition(".")
        setattr(model.get_submodule(path), last, layer.get_base_layer())
    if hasattr(model, "peft_config"):
        del model.peft_config
    for parameter in model.parameters():
        parameter.requires_grad_()
