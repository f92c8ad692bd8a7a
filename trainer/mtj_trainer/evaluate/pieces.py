"""The prepared pieces of a split, as the evaluation uses them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mtj_trainer.families.symbolic.family import track_conditions
from mtj_trainer.prepare.dataset import PreparedDataset
from mtj_trainer.prepare.split import Side
from mtj_trainer.tokens import Conditions


@dataclass(frozen=True)
class PreparedPiece:
    """A whole piece of music.

    Attributes:
        track: its id in the dataset.
        title: what a person calls it.
        tokens: (T,) the music, without begin and end.
        conditions: all that is known of it.
    """

    track: str
    title: str
    tokens: npt.NDArray[np.uint16]
    conditions: Conditions


def prepared_pieces(dataset: PreparedDataset, split: Side) -> list[PreparedPiece]:
    """The MIDI pieces of a split (``train``, ``validation`` or ``test``), in the order of their track ids."""
    pieces = []
    for sample in sorted(dataset.samples("midi", split), key=lambda sample: (sample.track, sample.member)):
        track = dataset.tracks[sample.track]
        title = track.title or _stem(track.file_path)
        tokens = dataset.read_tokens(sample)
        pieces.append(PreparedPiece(track.id, title, tokens, track_conditions(track)))
    return pieces


def _stem(path: str) -> str:
    return path.rsplit("/", 1)[-1].rsplit(".", 1)[0]
