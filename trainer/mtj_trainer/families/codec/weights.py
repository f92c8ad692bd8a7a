"""A trained codec as files: what ``DacModel.from_pretrained`` reads, and nothing that was only there for training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from mtj_api import JobError
from mtj_trainer.families.codec.codec import CONFIG, WEIGHTS, DacCodec, load_codec
from mtj_trainer.storage import Storage
from mtj_trainer.tensors import store_tensors

if TYPE_CHECKING:
    from transformers import DacConfig, DacModel

PREFIX = "codec."
"""What ``CodecTraining`` calls its codec."""


def save_codec(folder: Storage, config: DacConfig, weights: dict[str, Tensor]) -> None:
    """Write the codec among the weights of a ``CodecTraining``; its weights last, so that with them it is complete."""
    own = {name.removeprefix(PREFIX): tensor for name, tensor in weights.items() if name.startswith(PREFIX)}
    folder.write(CONFIG, config.to_json_string().encode())
    store_tensors(folder, WEIGHTS, own, {"format": "pt"})


def load_dac(folder: Storage) -> DacModel:
    """A codec to train further.

    Raises:
        JobError: there is none, or it is of a kind that cannot be trained.
    """
    codec = load_codec(folder)
    if not isinstance(codec, DacCodec):
        raise JobError(
            "only codecs of type dac can be trained: EnCodec gives its encoder no gradient",
            where=folder.url,
            instead="name a codec of type dac",
        )
    return codec.module
