"""A symbolic model as files: safetensors, its sizes, and its tokenizer."""

from __future__ import annotations

import json

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import Tensor

from mtj_api import JobError
from mtj_trainer.families.symbolic.model import SymbolicConfig, SymbolicModel
from mtj_trainer.stage import work_dir
from mtj_trainer.storage import Storage, open_storage
from mtj_trainer.storage.local import on_this_machine
from mtj_trainer.tensors import store_tensors
from mtj_trainer.tokens import Tokenizer, load_tokenizer
from mtj_trainer.tokens.tokenizer import dump_tokenizer

WEIGHTS, CONFIG, TOKENIZER = "model.safetensors", "config.json", "tokenizer.json"


def save_model(folder: Storage, config: SymbolicConfig, tokenizer: Tokenizer, weights: dict[str, Tensor]) -> None:
    """Write the model's three files; the weights last, so that a folder with weights is complete."""
    folder.write(CONFIG, (json.dumps({"family": "symbolic", **config.to_dict()}, indent=2) + "\n").encode())
    folder.write(TOKENIZER, dump_tokenizer(tokenizer).encode())
    store_tensors(folder, WEIGHTS, weights)


def load_model(folder: Storage) -> tuple[SymbolicModel, Tokenizer]:
    """The model that ``save_model`` wrote, in fp32 and ready to evaluate.

    Raises:
        JobError: there is no such model at the URL, or its files do not fit together.
    """
    try:
        with on_this_machine(folder, work_dir()) as local:
            files = open_storage(str(local))
            config = json.loads(files.read(CONFIG))
            tokenizer = load_tokenizer(files.read(TOKENIZER).decode())
            weights = load_tensors(files.read(WEIGHTS))
    except FileNotFoundError:
        raise JobError(
            "there is no published model here", where=folder.url, instead="name a folder with model.safetensors"
        ) from None
    except (ValueError, SafetensorError) as error:
        raise JobError(f"this model cannot be read ({error})", where=folder.url, instead="publish it again") from None
    if config.pop("family", None) != "symbolic":
        raise JobError("this model is not of the family symbolic", where=folder.url, instead="name one that is")
    model = SymbolicModel(SymbolicConfig.from_dict(config))
    try:
        model.load_state_dict(weights)
    except RuntimeError:
        raise JobError("the weights do not fit config.json", where=folder.url, instead="publish it again") from None
    return model.eval(), tokenizer
