"""A MusicGen whose decoder is adapted while everything else rests."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor, nn

from mtj_api.spec import Training
from mtj_trainer.adaptation import MUSICGEN, MUSICGEN_MELODY, Adaptation, adapt, merge
from mtj_trainer.families.musicgen.complete import MusicGen
from mtj_trainer.train.engine.changing import put


def adaptable(model: MusicGen) -> nn.Module:
    """The part of a model that is adapted, with the names that the whole model has for it."""
    return nn.ModuleDict({"decoder": model.complete.decoder})


def adapt_model(model: MusicGen, settings: Training) -> Adaptation:
    """Freeze a model, in place, but for what a job's strategy trains; what is drawn follows from torch's random state.

    Raises:
        JobError: the settings name something that the model does not have.
    """
    for parameter in model.complete.parameters():
        parameter.requires_grad_(requires_grad=False)
    return adapt(adaptable(model), settings, MUSICGEN_MELODY if model.is_melodic else MUSICGEN)


def merged(model: MusicGen, weights: Mapping[str, Tensor]) -> MusicGen:
    """A plain model: an adapted one's, which stays as it is, with these values of what is trained worked in.

    Raises:
        JobError: it is adapted by what no weight can hold: an adapter or a prompt.
    """
    plain = copy.deepcopy(model.complete)
    found = replace(model, complete=plain)
    put(adaptable(found), {name: tensor.to(plain.device) for name, tensor in weights.items()})
    merge(adaptable(found))
    return found
