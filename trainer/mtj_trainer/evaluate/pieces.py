"""The prepared pieces of a split, as the evaluation uses them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mtj_trainer.families.symbolic.family import track_conditions
from mtj_trainer.prepare.dataset import PreparedDataset, Sample
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


def prepared_pieces(dataset: PreparedDataset, split: Side, most_tokens: int, seed: int) -> list[PreparedPiece]:
    """The MIDI pieces of a split, in the order of their track ids.

    Args:
        most_tokens: of a split that is larger, a random part of about so many tokens is taken.
        seed: decides which part; the same for the same data.
    """
    samples = sorted(dataset.samples("midi", split), key=lambda sample: (sample.track, sample.member))
    pieces = []
    for sample in _within(samples, most_tokens, seed):
        track = dataset.tracks[sample.track]
        title = track.title or _stem(track.file_path)
        pieces.append(PreparedPiece(track.id, title, dataset.read_tokens(sample), track_conditions(track)))
    return pieces


def _within(samples: list[Sample], most_tokens: int, seed: int) -> list[Sample]:
    if sum(sample.length for sample in samples) <= most_tokens:
        return samples
    order = np.random.default_rng(seed).permutation(len(samples))
    before = np.cumsum([0.0, *(samples[index].length for index in order)])[:-1]
    return [samples[index] for index in sorted(order[before < most_tokens])]


def _stem(path: str) -> str:
    return path.rsplit("/", 1)[-1].rsplit(".", 1)[0]
