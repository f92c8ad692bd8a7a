"""Small scores made note by note."""

from __future__ import annotations

from collections.abc import Sequence

from symusic import Note, Score, Tempo, TimeSignature, Track

QUARTER = 480


def score(
    *parts: Sequence[tuple[float, float, int]],
    metre: tuple[int, int] = (4, 4),
    tempo: float = 100.0,
    programs: Sequence[int] = (),
) -> Score:
    """A score of parts, each of (start, length, pitch) with times in quarter notes."""
    result = Score(QUARTER)
    result.time_signatures.append(TimeSignature(0, *metre))
    result.tempos.append(Tempo(0, tempo))
    for index, part in enumerate(parts):
        program = programs[index] if programs else 0
        track = Track(f"Part {index + 1}", program, False)
        for start, length, pitch in part:
            track.notes.append(Note(round(start * QUARTER), round(length * QUARTER), pitch, 90))
        result.tracks.append(track)
    return result


def chorale(bars: int = 4, upbeat: bool = False, root: int = 60) -> Score:
    """Four voices over tonic and dominant seventh, no pitch twice in a row; with an upbeat on request."""
    first = 3.0 if upbeat else 0.0
    beats = [first + beat for beat in range(bars * 4 - (3 if upbeat else 0))]
    chords = [(root + 12, root + 7, root + 4, root - 12), (root + 11, root + 5, root + 2, root - 5)]
    voices = [[(beat, 1.0, chords[index % 2][voice]) for index, beat in enumerate(beats)] for voice in range(4)]
    return score(*voices)


def midi_bytes(of: Score) -> bytes:
    """The score as a MIDI file."""
    data: bytes = of.dumps_midi()
    return data
