"""What every tokenizer can do, and how one is chosen and stored."""

from __future__ import annotations

import json
from typing import Protocol

import numpy as np
import numpy.typing as npt
from symusic import Score

from mtj_api.spec import MidiPreparation
from mtj_trainer.tokens.conditions import Conditions
from mtj_trainer.tokens.grid import GridTokenizer
from mtj_trainer.tokens.remi import RemiTokenizer

Tokens = npt.NDArray[np.uint16]


class Tokenizer(Protocol):
    """A vocabulary for scores.

    Attributes:
        size: tokens in the vocabulary, those of conditions included.
        pad, begin, end: tokens that fill batches, open and close a piece.
        feature_sizes: for each feature of ``features``, how many values it has.
        sampleable: (size,) bool, the tokens that may stand inside a piece.
    """

    @property
    def size(self) -> int: ...
    @property
    def pad(self) -> int: ...
    @property
    def begin(self) -> int: ...
    @property
    def end(self) -> int: ...
    @property
    def feature_sizes(self) -> tuple[int, ...]: ...
    @property
    def sampleable(self) -> npt.NDArray[np.bool_]: ...

    def encode(self, score: Score) -> Tokens:
        """(T,) tokens of a cleaned score; raises ``Unusable`` for one that the vocabulary cannot say."""
        ...

    def decode(self, tokens: npt.NDArray[np.integer], conditions: Conditions) -> Score:
        """A score of any token sequence; what makes no sense in it is left out."""
        ...

    def prefix(self, conditions: Conditions) -> list[int]:
        """The tokens that say ``conditions``; always equally many."""
        ...

    def transpose(self, tokens: Tokens, semitones: int) -> Tokens:
        """The same music so many semitones higher; a pitch that leaves the range comes back by an octave."""
        ...

    def features(
        self, tokens: npt.NDArray[np.integer], conditions: Conditions, metre: str | None = None
    ) -> npt.NDArray[np.int64]:
        """(T + 1, F) what is known about each next token: from the tokens before it, and from the conditions.

        Row ``i`` depends on ``tokens[:i]`` and the conditions alone and belongs to the prediction of ``tokens[i]``.
        The conditions stand in every row, besides the prefix: what holds for the whole piece is so learned sooner.

        Args:
            metre: what bars are counted by, where it is known and the conditions do not say it.
        """
        ...

    def bars(self, tokens: npt.NDArray[np.integer], conditions: Conditions) -> int:
        """Complete bars in ``tokens``."""
        ...

    def first_bars(self, tokens: Tokens, conditions: Conditions, bars: int) -> Tokens:
        """The opening of a piece, up to the end of its first ``bars`` bars."""
        ...

    def settings(self) -> dict[str, str | int]:
        """What ``load_tokenizer`` needs to make it again."""
        ...


def make_tokenizer(settings: MidiPreparation) -> Tokenizer:
    """The tokenizer of a resolved job."""
    if settings.tokenizer == "grid":
        return GridTokenizer(settings.steps_per_beat, settings.voices)
    return RemiTokenizer(settings.steps_per_beat, settings.velocity_bins)


def dump_tokenizer(tokenizer: Tokenizer) -> str:
    """``tokenizer.json``."""
    return json.dumps(tokenizer.settings(), indent=2) + "\n"


def load_tokenizer(text: str) -> Tokenizer:
    """The tokenizer that ``dump_tokenizer`` wrote; ``ValueError`` if it would not be the same."""
    settings = json.loads(text)
    tokenizer: Tokenizer
    if settings["tokenizer"] == "grid":
        tokenizer = GridTokenizer(settings["steps_per_beat"], settings["voices"])
    else:
        tokenizer = RemiTokenizer(settings["steps_per_beat"], settings["velocity_bins"])
    if tokenizer.settings() != settings:
        raise ValueError(f"the tokenizer was made by another version: {settings} is now {tokenizer.settings()}")
    return tokenizer
