"""One MIDI file: read, cleaned and tokenized (guide: MIDI Preprocessing).

Cleaning makes files that say the same thing look the same: one metre and tempo at least, from the first tick;
notes on the grid; velocities around one level; no note twice.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from symusic import Note, Score, Tempo, TimeSignature, Track

from mtj_api.spec import MidiPreparation
from mtj_trainer.music.key import estimate_key
from mtj_trainer.prepare.quarantine import Unusable
from mtj_trainer.tokens import Conditions, Tokenizer

MEAN_VELOCITY = 80
SLOWEST, FASTEST = 20.0, 300.0
LONGEST_QUARTERS = 50_000
"""Of a piece: seven hours at 120 a minute. A wrong byte can say a hundred years, and each of their bars is a token."""
NOTICEABLE_TEMPO_CHANGE = 0.02
"""Tempo changes smaller than this ratio are a performer's breath, not a new tempo, and are dropped."""


@dataclass(frozen=True)
class PreparedMidi:
    """A piece as training data.

    Attributes:
        tokens: (T,) uint16.
        conditions: what was found out about the piece.
        seconds: its length as played.
        title: the name of its first track, where it has one.
    """

    tokens: npt.NDArray[np.uint16]
    conditions: Conditions
    seconds: float
    title: str | None


def prepare_midi(data: bytes, settings: MidiPreparation, tokenizer: Tokenizer) -> PreparedMidi:
    """Clean and tokenize a MIDI file.

    Raises:
        Unusable: ``empty-file``, ``broken-midi``, ``no-notes``, ``too-long``, or what the tokenizer cannot say.
    """
    score = clean(read_midi(data), settings.steps_per_beat)
    conditions = describe(score)
    tokens = tokenizer.encode(score)
    names = [track.name for track in score.tracks if track.name]
    return PreparedMidi(tokens, conditions, seconds(score), names[0] if len(names) == 1 else None)


def read_midi(data: bytes) -> Score:
    """A score with at least one note, from the bytes of a MIDI file."""
    if not data:
        raise Unusable("empty-file", "is empty")
    try:
        score = Score.from_midi(data)
    except Exception as error:  # symusic's parser raises several kinds
        raise Unusable("broken-midi", f"is not a readable MIDI file ({error})") from None
    if not any(len(track.notes) for track in score.tracks):
        raise Unusable("no-notes", "has no notes")
    if score.ticks_per_quarter < 1:
        raise Unusable("broken-midi", "is not a readable MIDI file (it has no ticks)")
    changes = [change.time for change in (*score.time_signatures, *score.tempos)]
    first, last = min(score.start(), *changes, 0), max(score.end(), *changes, 0)  # times beyond 32 bits are below 0
    if first < 0 or last > LONGEST_QUARTERS * score.ticks_per_quarter:
        raise Unusable("too-long", f"has events more than {LONGEST_QUARTERS:,} quarter notes from its beginning")
    return score


def clean(score: Score, steps_per_beat: int) -> Score:
    """The same music on a grid of ``steps_per_beat``, with standard metre, tempo and velocity events."""
    result = score.resample(steps_per_beat, 1)
    result.time_signatures = _metres(result)
    result.tempos = _tempos(result)
    result.tracks = [track for track in (_clean_track(track) for track in result.tracks) if len(track.notes)]
    scale = MEAN_VELOCITY / max(1.0, float(np.mean([n.velocity for t in result.tracks for n in t.notes])))
    for track in result.tracks:
        for note in track.notes:
            note.velocity = int(np.clip(round(note.velocity * scale), 1, 127))
    return _without_leading_bars(result)


def describe(score: Score) -> Conditions:
    """Key (estimated from the notes), metre, mean tempo and instruments of a cleaned score."""
    weights = np.zeros(12)
    for track in score.tracks:
        if not track.is_drum:
            for note in track.notes:
                weights[note.pitch % 12] += note.duration
    first = score.time_signatures[0]
    return Conditions(
        key=estimate_key(weights)[0] if weights.any() else None,
        metre=f"{first.numerator}/{first.denominator}",
        tempo=_mean_tempo(score),
        instruments=instruments(score),
    )


def instruments(score: Score) -> tuple[int, ...]:
    """General MIDI programs (128 for drums), the one with most notes first."""
    notes: Counter[int] = Counter()
    for track in score.tracks:
        notes[128 if track.is_drum else track.program] += len(track.notes)
    return tuple(program for program, count in notes.most_common() if count)


def seconds(score: Score) -> float:
    """Length as played, from the first tick to the end of the last note."""
    return float(score.to("second").end())


def _metres(score: Score) -> list[TimeSignature]:
    kept: list[TimeSignature] = []
    possible = [metre for metre in score.time_signatures if metre.numerator > 0 and metre.denominator > 0]
    for metre in sorted(possible, key=lambda metre: metre.time):
        if not kept and metre.time > 0:
            kept.append(TimeSignature(0, 4, 4))
        if kept and metre.time == kept[-1].time:
            kept.pop()
        if not kept or (metre.numerator, metre.denominator) != (kept[-1].numerator, kept[-1].denominator):
            kept.append(metre)
    return kept or [TimeSignature(0, 4, 4)]


def _tempos(score: Score) -> list[Tempo]:
    kept: list[Tempo] = []
    for tempo in sorted(score.tempos, key=lambda tempo: tempo.time):
        quarters = float(np.clip(tempo.qpm, SLOWEST, FASTEST))
        if not kept and tempo.time > 0:
            kept.append(Tempo(0, 120.0))
        if kept and tempo.time == kept[-1].time:
            kept.pop()
        if not kept or abs(quarters / kept[-1].qpm - 1) > NOTICEABLE_TEMPO_CHANGE:
            kept.append(Tempo(tempo.time, quarters))
    return kept or [Tempo(0, 120.0)]


def _mean_tempo(score: Score) -> float:
    """Mean over time, so that a ritardando of one bar does not count like the piece."""
    end = max(1, score.end())
    edges = [tempo.time for tempo in score.tempos] + [end]
    spans = [max(0, after - before) for before, after in pairwise(edges)]
    if not any(spans):
        return float(score.tempos[0].qpm)
    return float(np.average([tempo.qpm for tempo in score.tempos], weights=spans))


def _clean_track(track: Track) -> Track:
    """Without notes that stand twice; a note ends where the same pitch begins again."""
    result = Track(track.name.strip(), track.program, track.is_drum)
    sounding: dict[int, Note] = {}
    for note in sorted(track.notes, key=lambda note: (note.time, note.pitch, -note.duration)):
        before = sounding.get(note.pitch)
        if before is not None and before.time == note.time:
            continue
        if before is not None and before.time + before.duration > note.time:
            before.duration = note.time - before.time
        copy = Note(note.time, max(1, note.duration), note.pitch, note.velocity)
        sounding[note.pitch] = copy
        result.notes.append(copy)
        sounding[note.pitch] = result.notes[-1]
    return result


def _without_leading_bars(score: Score) -> Score:
    """Whole silent bars at the start go; what is left keeps its place in the bar."""
    first = min(note.time for track in score.tracks for note in track.notes)
    metre = score.time_signatures[0]
    bar = score.ticks_per_quarter * 4 * metre.numerator // metre.denominator
    later = [other.time for other in score.time_signatures[1:]]
    silent = first // bar * bar if bar and not any(time <= first for time in later) else 0
    if silent == 0:
        return score
    shifted = score.shift_time(-silent)
    shifted.time_signatures = [
        TimeSignature(max(0, m.time - silent), m.numerator, m.denominator) for m in score.time_signatures
    ]
    shifted.tempos = _tempos_from([Tempo(max(0, t.time - silent), t.qpm) for t in score.tempos])
    return shifted


def _tempos_from(tempos: list[Tempo]) -> list[Tempo]:
    """Of several tempi that now begin at once, the last."""
    latest = {tempo.time: tempo for tempo in tempos}
    return [latest[time] for time in sorted(latest)]
