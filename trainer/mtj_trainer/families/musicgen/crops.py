"""What a model reads of prepared recordings: crops of their codes, with texts and melodies as it takes them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mtj_trainer.families.musicgen.batch import Example, MusicGenBatch, collate
from mtj_trainer.families.musicgen.captions import caption
from mtj_trainer.families.musicgen.complete import MusicGen
from mtj_trainer.families.musicgen.melodies import Melodies
from mtj_trainer.families.musicgen.texts import Texts
from mtj_trainer.families.windows import sliding_windows
from mtj_trainer.prepare.split import Side

if TYPE_CHECKING:
    from mtj_trainer.prepare.codes.dataset import CodesDataset, CodesSample

ROWS = 8
"""Of a batch of held-out crops: as many as fit next to the training state in any case."""


class Crops:
    """Crops for one model.

    Args:
        model: that is to read them; it is not kept.
        codes: of prepared recordings.
        conditioning: of ``text`` and ``melody``, what the model hears.
    """

    def __init__(self, model: MusicGen, codes: CodesDataset, conditioning: Collection[str]) -> None:
        self._codes = codes
        self._hears_text, self._hears_melody = "text" in conditioning, "melody" in conditioning
        self._pad, self._channels, self.context = model.pad, model.channels, model.context
        self._texts = Texts(model, codes)
        self._melodies = Melodies(codes, model.complete.config.chroma_length) if model.is_melodic else None

    def crop(
        self,
        sample: CodesSample,
        first: int,
        counted_from: int = 0,
        *,
        heard: bool = True,
        melody: bool = True,
        random: np.random.Generator | None = None,
    ) -> Example:
        """The frames of a segment from ``first`` on, as many as the context holds.

        Args:
            counted_from: frames before this one are read and not predicted.
            heard: whether the model hears what it is asked for.
            melody: whether a melody is a part of that.
            random: draws which words are read as unknown ones; ``None`` drops none.
        """
        codes = self._codes.read(sample)[:, first : first + self.context].astype(np.int64)
        chroma = None
        if self._melodies is not None:
            listens = melody and self._hears_melody
            chroma = self._melodies.of(sample, first) if listens else self._melodies.none()
        text = self._texts.of(caption(self._codes.dataset.tracks[sample.audio.track]), random)
        return Example(codes, text, heard and self._hears_text, chroma, counted_from)

    def side(self, split: Side, rank: int = 0, world: int = 1) -> Iterator[MusicGenBatch]:
        """A side of the data: each code once, with at least half a context before it where there is as much."""
        rows = [
            (sample, first, counted_from - first)
            for sample in self._codes.samples(split)
            for first, counted_from in sliding_windows(sample.frames, self.context)
        ]
        for index, start in enumerate(range(0, len(rows), ROWS)):
            if index % world == rank:
                yield self.collated([self.crop(*row) for row in rows[start : start + ROWS]])

    def collated(self, examples: Sequence[Example]) -> MusicGenBatch:
        """Examples side by side."""
        return collate(examples, self._pad, self._channels)
