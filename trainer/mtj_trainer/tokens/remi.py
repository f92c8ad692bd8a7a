"""Any score as bars, positions, programs, pitches, velocities and durations (REMI+; miditok does the work).

REMI: Huang and Yang 2020, arXiv 2002.00212; with programs and metre: von Ruette et al. 2022, arXiv 2201.10936.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from miditok import REMI, TokenizerConfig
from symusic import Score

from mtj_trainer.prepare.quarantine import Unusable
from mtj_trainer.tokens.conditions import METRES, Conditions, ConditionTokens

LOWEST, HIGHEST = 21, 108
LONGEST_BEATS = 12


class RemiTokenizer:
    """See the module; satisfies ``Tokenizer``. Its features are the conditions alone: its tokens say the rest."""

    def __init__(self, steps_per_beat: int, velocity_bins: int) -> None:
        self.steps_per_beat = steps_per_beat
        self.velocity_bins = velocity_bins
        metres: dict[int, list[int]] = {}
        for metre in METRES:
            numerator, denominator = (int(part) for part in metre.split("/"))
            metres.setdefault(denominator, []).append(numerator)
        self._miditok = REMI(
            TokenizerConfig(
                pitch_range=(LOWEST, HIGHEST + 1),
                beat_res={(0, 4): steps_per_beat, (4, LONGEST_BEATS): max(1, steps_per_beat // 2)},
                num_velocities=velocity_bins,
                special_tokens=["PAD", "BOS", "EOS"],
                use_programs=True,
                one_token_stream_for_programs=True,
                use_tempos=True,
                tempo_range=(40, 250),
                num_tempos=32,
                log_tempos=True,
                use_time_signatures=True,
                time_signature_range=metres,
            )
        )
        vocabulary: dict[str, int] = self._miditok.vocab
        self.pad, self.begin, self.end = (vocabulary[f"{name}_None"] for name in ("PAD", "BOS", "EOS"))
        self._bar = vocabulary["Bar_None"]
        self._conditions = ConditionTokens(len(vocabulary))
        self.size = self._conditions.end
        self.feature_sizes = self._conditions.class_counts
        self.sampleable = np.zeros(self.size, dtype=np.bool_)
        self.sampleable[: len(vocabulary)] = True
        self.sampleable[[self.pad, self.begin, self.end]] = False
        self._pitches = np.array([vocabulary[f"Pitch_{pitch}"] for pitch in range(LOWEST, HIGHEST + 1)])

    def encode(self, score: Score) -> npt.NDArray[np.uint16]:
        """See ``Tokenizer.encode``."""
        tokens = self._miditok.encode(score).ids
        if len(tokens) < 8:
            raise Unusable("no-notes", "has hardly any notes within the piano's range")
        return np.asarray(tokens, dtype=np.uint16)

    def decode(self, tokens: npt.NDArray[np.integer], conditions: Conditions) -> Score:  # noqa: ARG002 - the tokens say it
        """See ``Tokenizer.decode``."""
        inside = [int(token) for token in tokens if self.sampleable[int(token)]]
        return self._miditok.decode(inside)

    def prefix(self, conditions: Conditions) -> list[int]:
        """See ``Tokenizer.prefix``."""
        return self._conditions.prefix(conditions)

    def transpose(self, tokens: npt.NDArray[np.uint16], semitones: int) -> npt.NDArray[np.uint16]:
        """See ``Tokenizer.transpose``; drums stay."""
        if semitones == 0:
            return tokens
        shifted = np.arange(len(self._pitches)) + semitones
        shifted = np.where(shifted < 0, shifted + 12, np.where(shifted >= len(self._pitches), shifted - 12, shifted))
        table = np.arange(self.size, dtype=np.uint16)
        table[self._pitches] = self._pitches[shifted]
        transposed: npt.NDArray[np.uint16] = table[tokens]
        return transposed

    def features(
        self,
        tokens: npt.NDArray[np.integer],
        conditions: Conditions,
        metre: str | None = None,  # noqa: ARG002 - the tokens say it
    ) -> npt.NDArray[np.int64]:
        """See ``Tokenizer.features``: the conditions."""
        return np.tile(np.array(self._conditions.classes(conditions), dtype=np.int64), (len(tokens) + 1, 1))

    def bars(self, tokens: npt.NDArray[np.integer], conditions: Conditions) -> int:  # noqa: ARG002
        """See ``Tokenizer.bars``: a bar is complete when the next one begins."""
        return max(0, int((np.asarray(tokens) == self._bar).sum()) - 1)

    def first_bars(self, tokens: npt.NDArray[np.uint16], conditions: Conditions, bars: int) -> npt.NDArray[np.uint16]:  # noqa: ARG002
        """See ``Tokenizer.first_bars``."""
        starts = np.flatnonzero(tokens == self._bar)
        return tokens if len(starts) <= bars else tokens[: starts[bars]]

    def settings(self) -> dict[str, str | int]:
        """See ``Tokenizer.settings``."""
        return {
            "tokenizer": "remi",
            "steps_per_beat": self.steps_per_beat,
            "velocity_bins": self.velocity_bins,
            "size": self.size,
        }
