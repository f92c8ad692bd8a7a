"""The strategies behind one interface: what is added to a model or chosen of it, as data that can be saved."""

from __future__ import annotations

from typing import Protocol

from torch import nn

from mtj_api.spec import Training
from mtj_trainer.adaptation.bottleneck import bottlenecks
from mtj_trainer.adaptation.injected import low_rank, scaled
from mtj_trainer.adaptation.prompt import prompt
from mtj_trainer.adaptation.selection import selection
from mtj_trainer.adaptation.targets import Targets


class Adaptation(Protocol):
    """What of a model is trained, apart from the values: a frozen dataclass whose fields JSON can hold."""

    def apply(self, model: nn.Module) -> None:
        """Freeze the model, and add or choose what is trained: the only parameters then with ``requires_grad``."""
        ...

    def stored_name(self, name: str) -> str:
        """The name in a file of what the adapted model has as the parameter ``name``."""
        ...


def choose(model: nn.Module, settings: Training, targets: Targets) -> Adaptation:
    """What a job's strategy would train in a model, which stays as it is.

    Args:
        model: named as the published one: a bare decoder stands in ``nn.ModuleDict({"decoder": decoder})``.
        settings: a resolved job's training, with a strategy that leaves weights as they are.
        targets: of the model's family.

    Raises:
        JobError: the settings name something that the model does not have.
    """
    makers = {
        "lora": low_rank,
        "dora": low_rank,
        "ia3": scaled,
        "adapter": bottlenecks,
        "prompt": prompt,
        "selective": selection,
    }
    return makers[settings.strategy](model, settings, targets)


def adapt(model: nn.Module, settings: Training, targets: Targets) -> Adaptation:
    """Freeze a model, in place, but for what a job's strategy trains; arguments and errors as of ``choose``.

    It is to be called before the model is given to an engine, on every process with the same random state.
    """
    adaptation = choose(model, settings, targets)
    adaptation.apply(model)
    return adaptation
