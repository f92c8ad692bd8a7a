"""One of Bach's four-part chorales: from a score in music21's corpus to MIDI and a row of metadata.

Invariant: the MIDI has the notes of the score, ties merged, each at its place in the bar. A piece that begins with an
upbeat begins with rests, so that its first bar is full; a bar of odd length gets a metre of its own. Repeats are
played once. Grace notes, which have no length of their own, are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import takewhile
from pathlib import Path

import numpy as np
from symusic import KeySignature, Note, Score, Tempo, TimeSignature, Track

from mtj_trainer.music import estimate_key
from mtj_trainer.prepare.importers.musicxml import Bar, ScoreNote, read_part, read_score

VOICES = ("Soprano", "Alto", "Tenor", "Bass")
CHURCH_ORGAN, REED_ORGAN = 19, 20
"""General MIDI's: both hold a note at an even level and begin it clearly, so that voices stay apart in the sound."""
TICKS = 480
TEMPO = 100.0
"""Quarter notes a minute; none of the scores names a tempo."""
VELOCITY = 80

FIFTHS = ("Cb", "Gb", "Db", "Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#", "G#", "D#", "A#")
"""Tonics by fifths: of the major keys from seven flats to seven sharps, and of the minor keys three further up."""


@dataclass(frozen=True)
class Chorale:
    """A chorale as notes.

    Attributes:
        bwv: its number in the catalogue of Bach's works, as ``10.7``.
        voices: the notes of soprano, alto, tenor and bass.
        metres: (quarters, metre) of each change.
        key: as ``F#min``.
    """

    bwv: str
    voices: tuple[tuple[ScoreNote, ...], ...]
    metres: tuple[tuple[Fraction, str], ...]
    key: str

    @property
    def work(self) -> int:
        """The number of the work that it is part of: 10 for ``10.7``."""
        return int("".join(takewhile(str.isdigit, self.bwv)))

    @property
    def program(self) -> int:
        """One of two organs for all of a work, so that a text has a sound to ask for, and not notes alone."""
        return REED_ORGAN if self.work % 2 else CHURCH_ORGAN

    def to_midi(self) -> bytes:
        """A MIDI file with a track a voice."""
        score = Score(TICKS)
        score.tempos.append(Tempo(0, TEMPO))
        for start, metre in self.metres:
            numerator, denominator = map(int, metre.split("/"))
            score.time_signatures.append(TimeSignature(_tick(start), numerator, denominator))
        score.key_signatures.append(KeySignature(0, _sharps(self.key), int(self.key.endswith("min"))))
        for name, notes in zip(VOICES, self.voices, strict=True):
            track = Track(name, self.program, False)
            for note in notes:
                end = _tick(note.start + note.length)
                track.notes.append(Note(_tick(note.start), end - _tick(note.start), note.pitch, VELOCITY))
            score.tracks.append(track)
        return bytes(score.dumps_midi())


def read_chorale(path: Path) -> Chorale | None:
    """The chorale in a MusicXML file of the corpus; ``None`` for a piece that has not four parts."""
    elements = read_score(path)
    if len(elements) != len(VOICES):
        return None
    parts = [read_part(element) for element in elements]
    bars = parts[0].bars
    upbeat = max(Fraction(0), _quarters(bars[0].metre) - bars[0].length)
    voices = tuple(tuple(replace(note, start=note.start + upbeat) for note in part.notes) for part in parts)
    return Chorale(
        bwv=path.stem.removeprefix("bwv"),
        voices=voices,
        metres=tuple(metre_changes(bars, upbeat)),
        key=_key(voices, parts[0].key),
    )


def metre_changes(bars: Sequence[Bar], upbeat: Fraction) -> Iterator[tuple[Fraction, str]]:
    """(quarters, metre) wherever a reader who counts bars from there on finds each bar line.

    Two or more parts of one bar, around a repeat sign, count as that bar; a bar of odd length gets a metre of its own,
    except the last, which nothing follows.

    Args:
        upbeat: what the first bar lacks; the music starts so many quarters late.
    """
    current = None
    at = Fraction(0)
    whole = list(_whole_bars(bars, upbeat))
    for number, (length, metre) in enumerate(whole, start=1):
        left = length
        while left > 0:
            step = min(left, _quarters(metre))
            here = metre if step == _quarters(metre) or number == len(whole) else _odd_metre(step)
            if here != current:
                yield at, here
                current = here
            at += step
            left -= step


def _whole_bars(bars: Sequence[Bar], upbeat: Fraction) -> Iterator[tuple[Fraction, str]]:
    """(length, metre) of bars whose parts are joined; the upbeat counts as the whole bar that it ends."""
    pending = upbeat
    for bar, following in zip(bars, [*bars[1:], None], strict=True):
        pending += bar.length
        nominal = _quarters(bar.metre)
        if pending >= nominal or following is None or pending + following.length > nominal:
            yield pending, bar.metre
            pending = Fraction(0)


def _odd_metre(length: Fraction) -> str:
    for unit in (4, 8, 16):
        if (length * unit / 4).denominator == 1:
            return f"{int(length * unit / 4)}/{unit}"
    raise ValueError(f"no metre has a bar of {length} quarters")


def _key(voices: Sequence[Sequence[ScoreNote]], notated: tuple[int, str] | None) -> str:
    """The estimate from all notes, unless the notated key ends on its tonic in the bass and the estimate does not.

    Signatures alone mislead: many minor chorales are notated with a flat too few, as the modes were.
    """
    weights = np.zeros(12)
    for voice in voices:
        for note in voice:
            weights[note.pitch % 12] += float(note.length)
    estimated, _ = estimate_key(weights)
    last_bass = voices[-1][-1].pitch % 12
    if notated is not None and last_bass != _pitch_class(estimated):
        sharps, mode = notated
        minor = mode == "minor"
        name = FIFTHS[sharps + FIFTHS.index("C") + (3 if minor else 0)] + ("min" if minor else "maj")
        if _pitch_class(name) == last_bass:
            return name
    return estimated


def _pitch_class(key: str) -> int:
    return (FIFTHS.index(key[:-3]) * 7 + 11) % 12


def _sharps(key: str) -> int:
    """Sharps of a key's signature, flats as negative numbers."""
    sharps = FIFTHS.index(key[:-3]) - FIFTHS.index("C") - (3 if key.endswith("min") else 0)
    return sharps if sharps >= -7 else sharps + 12


def _quarters(metre: str) -> Fraction:
    return Fraction(metre) * 4


def _tick(quarters: Fraction) -> int:
    return round(quarters * TICKS)
