"""An adaptation as files, without the model that it was made for: megabytes where the model has gigabytes.

lora, dora and ia3 are in peft's own form, which ``PeftModel.from_pretrained`` takes; the others in one like it. The
weights are written last, so that a folder with weights is complete.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from mtj_api import JobError
from mtj_trainer.adaptation.adaptation import Adaptation
from mtj_trainer.adaptation.bottleneck import Bottlenecks
from mtj_trainer.adaptation.injected import Injected
from mtj_trainer.adaptation.prompt import Prompt
from mtj_trainer.adaptation.selection import Selection
from mtj_trainer.storage import Storage
from mtj_trainer.train.engine.changing import changing, put

PEFT_CONFIG, PEFT_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
CONFIG, WEIGHTS = "adaptation.json", "adaptation.safetensors"

OWN: dict[str, Callable[..., Adaptation]] = {
    "adapter": Bottlenecks,
    "prompt": Prompt,
    "selective": Selection,
}


def save_adaptation(
    folder: Storage, adaptation: Adaptation, weights: Mapping[str, Tensor], base: str | None = None
) -> None:
    """Write an adaptation's two files.

    Args:
        folder: where to.
        adaptation: what ``adapt`` returned.
        weights: what was trained, by the adapted model's names for it, such as an average of them.
        base: where the model lies that it belongs to, for whoever finds the files.
    """
    tensors = {adaptation.stored_name(name): tensor.detach().contiguous() for name, tensor in weights.items()}
    if isinstance(adaptation, Injected):
        config, names = {**adaptation.config, "base_model_name_or_path": base}, (PEFT_CONFIG, PEFT_WEIGHTS)
    else:
        strategy = next(name for name, kind in OWN.items() if kind is type(adaptation))
        config, names = {"strategy": strategy, "base": base, **vars(adaptation)}, (CONFIG, WEIGHTS)
    folder.write(names[0], (json.dumps(config, indent=2) + "\n").encode())
    folder.write(names[1], save_tensors(tensors, metadata={"format": "pt"}))


def holds_adaptation(folder: Storage) -> bool:
    """Whether a folder has an adaptation, rather than a whole model."""
    return folder.exists(PEFT_WEIGHTS) or folder.exists(WEIGHTS)


def base_of(folder: Storage) -> str | None:
    """Where the model lies that an adaptation belongs to, as far as its files say."""
    if folder.exists(PEFT_WEIGHTS):
        found = json.loads(folder.read(PEFT_CONFIG)).get("base_model_name_or_path")
    else:
        found = json.loads(folder.read(CONFIG)).get("base")
    return str(found) if found else None


def load_adaptation(model: nn.Module, folder: Storage) -> Adaptation:
    """Adapt a model, in place, as the files say; what they hold can be trained on.

    Args:
        model: as of ``choose``: named as the published one.
        folder: with what ``save_adaptation`` wrote, or with a LoRA, DoRA or (IA)^3 of peft's.

    Raises:
        JobError: there is no adaptation, or it does not fit the model.
    """
    weights_key = PEFT_WEIGHTS if folder.exists(PEFT_WEIGHTS) else WEIGHTS
    try:
        adaptation = _read(folder)
        tensors = load_tensors(folder.read(weights_key))
    except FileNotFoundError:
        raise JobError(
            "there is no adaptation here", where=folder.url, instead=f"name a folder with {PEFT_WEIGHTS} or {WEIGHTS}"
        ) from None
    except (SafetensorError, ValueError, TypeError, KeyError) as error:
        raise JobError(
            f"this adaptation cannot be read ({error})", where=folder.url, instead="publish it again"
        ) from None
    try:
        adaptation.apply(model)
        names = {adaptation.stored_name(name): name for name in changing(model)}
        put(model, {names[stored]: tensor for stored, tensor in tensors.items()})
    except (AttributeError, AssertionError, JobError, KeyError, RuntimeError, ValueError):
        raise JobError(
            "this adaptation belongs to another model", where=folder.url, instead="load it onto the one it is made for"
        ) from None
    return adaptation


def _read(folder: Storage) -> Adaptation:
    if folder.exists(PEFT_WEIGHTS):
        return Injected({**json.loads(folder.read(PEFT_CONFIG)), "inference_mode": False})
    config = json.loads(folder.read(CONFIG))
    kind = OWN[config.pop("strategy")]
    del config["base"]
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in config.items()})
