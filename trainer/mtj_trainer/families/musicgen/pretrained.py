"""A MusicGen or AudioGen to start from: published by a job, by transformers or by audiocraft, here or on a hub."""

from __future__ import annotations

import re
from pathlib import Path

from mtj_api import JobError
from mtj_trainer.families.musicgen.audiocraft_checkpoint import is_audiocraft, read_audiocraft
from mtj_trainer.families.musicgen.complete import MusicGen
from mtj_trainer.families.musicgen.weights import read_model
from mtj_trainer.stage import work_dir
from mtj_trainer.storage import open_storage
from mtj_trainer.storage.local import on_this_machine

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def load_pretrained(name: str) -> MusicGen:
    """The model that ``spec.model.pretrained`` names.

    Args:
        name: a folder, ``s3://bucket/prefix``, or a hub's ``owner/name``; ``./owner/name`` is a folder.

    Raises:
        JobError: there is no such model, or it cannot be read.
    """
    if HUB_NAME.fullmatch(name):
        return _read(_from_hub(name), name)
    with on_this_machine(open_storage(name), work_dir()) as local:
        return _read(local, name)


def _read(folder: Path, name: str) -> MusicGen:
    return read_audiocraft(folder, name) if is_audiocraft(folder) else read_model(folder, name)


def _from_hub(name: str) -> Path:
    """The hub's files on this machine. Of a model that is there in both forms, transformers' is taken."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    wanted = ["*.json", "*.safetensors", "*.model", "*.txt"]
    try:
        folder = Path(snapshot_download(name, allow_patterns=wanted))
        if not (folder / "config.json").is_file():
            folder = Path(snapshot_download(name, allow_patterns=["*state_dict.bin"]))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise JobError(
            f"the hub does not give this model ({str(error).splitlines()[0]})",
            where="spec.model.pretrained",
            instead="check the name and the connection, or name a folder that holds the model",
        ) from None
    return folder
