"""Captions in the form in which the training module takes them, each made once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mtj_trainer.families.musicgen.complete import MusicGen
from mtj_trainer.families.musicgen.text import SPECIAL, UNKNOWN, text_states, token_ids

if TYPE_CHECKING:
    from mtj_trainer.prepare.codes.dataset import CodesDataset

WORD_DROPOUT = 0.02
"""How often a word is read as an unknown one, so that a text encoder from scratch learns what to make of those."""


class Texts:
    """Token ids for a text encoder that is trained along, and states of one that is frozen.

    Args:
        model: with the text encoder.
        codes: may hold states that the prepare stage made; others are made here.
    """

    def __init__(self, model: MusicGen, codes: CodesDataset) -> None:
        self._tokenizer = model.tokenizer
        self._text_encoder = None if model.learns_text else model.complete.text_encoder
        self._codes = codes
        self._known: dict[str, npt.NDArray[np.int64] | npt.NDArray[np.float32]] = {}

    def of(self, caption: str, random: np.random.Generator | None) -> npt.NDArray[np.int64] | npt.NDArray[np.float32]:
        """(L,) token ids, or (L, D) states.

        Args:
            random: draws which words are dropped; ``None`` drops none.
        """
        if caption not in self._known:
            self._known[caption] = self._made(caption)
        known = self._known[caption]
        if random is None or known.ndim == 2:
            return known
        dropped = (random.random(len(known)) < WORD_DROPOUT) & (known >= len(SPECIAL))
        return np.where(dropped, SPECIAL.index(UNKNOWN), known)

    def _made(self, caption: str) -> npt.NDArray[np.int64] | npt.NDArray[np.float32]:
        if self._text_encoder is None:
            return token_ids(self._tokenizer, [caption])[0]
        states = self._codes.text_states(caption)
        return states if states is not None else text_states(self._text_encoder, self._tokenizer, [caption])[0]
