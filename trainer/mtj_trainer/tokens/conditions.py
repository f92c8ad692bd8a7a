"""What a piece is asked to be, as a prefix of tokens before its music (guide: Conditioning Mechanisms)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mtj_trainer.music.key import KEYS, TONICS

METRES = (
    *("2/2", "3/2", "4/2"),
    *("1/4", "2/4", "3/4", "4/4", "5/4", "6/4", "7/4"),
    *("3/8", "5/8", "6/8", "7/8", "9/8", "12/8"),
)
TEMPO_EDGES = tuple(float(edge) for edge in np.geomspace(40.0, 250.0, 16))
"""Quarter notes a minute that divide tempi into 17 classes, about 13 % apart: finer differences are not heard."""
PROGRAMS = 129
"""General MIDI programs from 0, and 128 for drums."""
INSTRUMENT_SLOTS = 4

_ENHARMONIC = {"Db": "C#", "D#": "Eb", "Gb": "F#", "G#": "Ab", "A#": "Bb", "Cb": "B", "B#": "C", "E#": "F", "Fb": "E"}


@dataclass(frozen=True)
class Conditions:
    """What is known of a piece, or asked of one; ``None`` is unknown, or left to the model.

    Attributes:
        key: a tonic and ``maj`` or ``min``, as ``F#min``.
        metre: beats and unit, as ``3/4``.
        tempo: quarter notes a minute.
        instruments: General MIDI programs from 0, and 128 for drums; the busiest first.
    """

    key: str | None = None
    metre: str | None = None
    tempo: float | None = None
    instruments: tuple[int, ...] | None = None

    def transposed(self, semitones: int) -> Conditions:
        """The same piece so many semitones higher."""
        if self.key is None:
            return self
        mode = self.key[-3:]
        return replace(self, key=TONICS[(pitch_class(self.key) + semitones) % 12] + mode)

    def only(self, names: frozenset[str]) -> Conditions:
        """These conditions without those that are not named."""
        return Conditions(
            key=self.key if "key" in names else None,
            metre=self.metre if "metre" in names else None,
            tempo=self.tempo if "tempo" in names else None,
            instruments=self.instruments if "instruments" in names else None,
        )


def pitch_class(key: str) -> int:
    """The tonic of ``Ebmaj`` as 3; ``ValueError`` for what is no key."""
    tonic = key[:-3]
    return TONICS.index(_ENHARMONIC.get(tonic, tonic))


def tempo_class(tempo: float) -> int:
    """The class, from 0, of a tempo in quarter notes a minute."""
    return int(np.searchsorted(TEMPO_EDGES, tempo))


class ConditionTokens:
    """The part of a vocabulary that says conditions, from the token ``first`` on.

    A prefix has always the same length: key, metre, tempo, and ``INSTRUMENT_SLOTS`` instruments.
    """

    def __init__(self, first: int) -> None:
        self._key = first
        self._metre = self._key + len(KEYS) + 1
        self._tempo = self._metre + len(METRES) + 1
        self._instrument = self._tempo + len(TEMPO_EDGES) + 2
        self.end = self._instrument + PROGRAMS + 2
        self.class_counts = (len(KEYS) + 1, len(METRES) + 1, len(TEMPO_EDGES) + 2)
        """How many values each of ``classes`` has."""

    def prefix(self, conditions: Conditions) -> list[int]:
        """The tokens that say ``conditions``; the last token of each part says that it is unknown."""
        key, metre, tempo = self.classes(conditions)
        none, unknown = PROGRAMS, PROGRAMS + 1
        if conditions.instruments is None:
            slots = [unknown] * INSTRUMENT_SLOTS
        else:
            chosen = sorted(conditions.instruments[:INSTRUMENT_SLOTS])
            slots = chosen + [none] * (INSTRUMENT_SLOTS - len(chosen))
        return [
            self._key + key,
            self._metre + metre,
            self._tempo + tempo,
            *(self._instrument + slot for slot in slots),
        ]

    def classes(self, conditions: Conditions) -> tuple[int, int, int]:
        """Key, metre and tempo as classes from 0; the last class of each is that it is unknown."""
        key = KEYS.index(TONICS[pitch_class(conditions.key)] + conditions.key[-3:]) if conditions.key else len(KEYS)
        metre = METRES.index(conditions.metre) if conditions.metre in METRES else len(METRES)
        tempo = len(TEMPO_EDGES) + 1 if conditions.tempo is None else tempo_class(conditions.tempo)
        return key, metre, tempo
