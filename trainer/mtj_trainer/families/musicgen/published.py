"""A model as people name it: a job's output or its model, an adaptation with what it adapts, or a checkpoint."""

from __future__ import annotations

from pathlib import Path

from mtj_api import JobError
from mtj_trainer.adaptation import base_of, holds_adaptation, load_adaptation, merge
from mtj_trainer.families.musicgen.adapted import adaptable
from mtj_trainer.families.musicgen.complete import MusicGen
from mtj_trainer.families.musicgen.pretrained import HUB_NAME, load_pretrained
from mtj_trainer.storage import Storage, open_storage

IN_AN_OUTPUT = ("model", "train/best")
"""Where a job's output has a model: as it is published, or as it was last found to be the best."""


def find_published(name: str) -> str:
    """Where the model lies that a person calls ``name``: a folder that is there is meant before a hub's model is."""
    if HUB_NAME.fullmatch(name) and not Path(name).is_dir():
        return name
    folder = open_storage(name)
    for below in IN_AN_OUTPUT:
        if _holds_model(folder.child(below)):
            return folder.child(below).url.removeprefix("file://")
    return folder.url.removeprefix("file://")


def load_published(name: str) -> MusicGen:
    """The model at a place of ``find_published``, with its adaptation where it is one.

    Raises:
        JobError: there is no such model, it cannot be read, or what it adapts is not there.
    """
    if HUB_NAME.fullmatch(name) or not holds_adaptation(open_storage(name)):
        return load_pretrained(name)
    folder = open_storage(name)
    base = base_of(folder)
    if base is None:
        raise JobError(
            "this adaptation does not say which model it belongs to",
            where=folder.url,
            instead="publish it again, or merge it",
        )
    model = load_merged(base)  # as it was trained on: an adaptation beside another would take its place
    load_adaptation(adaptable(model), folder)
    return model


def load_merged(name: str) -> MusicGen:
    """The same as a plain model, to train on: with an adaptation, that is worked into the weights.

    Raises:
        JobError: as of ``load_published``, or the adaptation is one that no weight can hold.
    """
    model = load_published(name)
    if not HUB_NAME.fullmatch(name) and holds_adaptation(open_storage(name)):
        merge(adaptable(model))
    return model


def _holds_model(folder: Storage) -> bool:
    return folder.exists("config.json") or holds_adaptation(folder)
