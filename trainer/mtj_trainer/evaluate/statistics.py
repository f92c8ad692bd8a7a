"""What a score is like, in numbers: its key, pitches, rhythm, density and repetition.

Invariant: pure functions of the notes; a score without notes has statistics too (empty histograms, zeros).
The features are those of Yang & Lerch, On the evaluation of generative models in music (2020), section 3.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from symusic import Score

from mtj_trainer.music import estimate_key

Floats = npt.NDArray[np.float64]

DRUMS = 128
"""Stands for a drum kit among General MIDI programs, which end at 127."""

NOTE_VALUES = (1 / 16, 1 / 12, 1 / 8, 1 / 6, 1 / 4, 1 / 3, 3 / 8, 1 / 2, 2 / 3, 3 / 4, 1, 3 / 2, 2, 3, 4, 6, 8)
"""Quarter notes that durations and inter-onset intervals are rounded to, by ratio: triplets and dots have their own."""

MOTIF = 4
"""Notes of the highest line that count as a motif when repetition is measured."""


@dataclass(frozen=True)
class Statistics:
    """A score in numbers.

    Attributes:
        notes: how many there are.
        beats: quarter notes from the beginning to the last note's end.
        key: the estimate (Krumhansl-Schmuckler), or ``None`` without pitched notes.
        key_fit: its correlation, in -1 to 1.
        metre: the time signature that holds longest, as ``3/4``; ``None`` where the score says none.
        tempo: quarter notes a minute, averaged over the beats; ``None`` where the score says none.
        programs: General MIDI programs in use, sorted; 128 is a drum kit.
        pitch_classes: (12,) share of sounding time of each pitch class.
        durations: (len(NOTE_VALUES),) share of notes with each length.
        inter_onsets: the same of the time from each onset, in any part, to the next.
        lowest, highest: MIDI pitch, without drums; 0 without pitched notes.
        polyphony: notes that sound together, averaged over the time in which any does.
        notes_per_beat: density.
        repetition: share of the highest line's motifs (intervals and rhythm) that were heard before.
    """

    notes: int
    beats: float
    key: str | None
    key_fit: float
    metre: str | None
    tempo: float | None
    programs: tuple[int, ...]
    pitch_classes: Floats
    durations: Floats
    inter_onsets: Floats
    lowest: int
    highest: int
    polyphony: float
    notes_per_beat: float
    repetition: float


def statistics(score: Score) -> Statistics:
    """The statistics of a score in ticks."""
    start, length, pitch, pitched = _notes(score)
    beats = float((start + length).max()) if len(start) else 0.0
    classes = np.bincount(pitch[pitched] % 12, weights=length[pitched], minlength=12).astype(np.float64)
    key, fit = estimate_key(classes) if classes.any() else (None, 0.0)
    onsets = np.unique(start)
    sounding = _union(start, start + length)
    return Statistics(
        notes=len(start),
        beats=beats,
        key=key,
        key_fit=fit,
        metre=_metre(score, beats),
        tempo=_tempo(score, beats),
        programs=_programs(score),
        pitch_classes=_share(classes),
        durations=_share(_note_values(length)),
        inter_onsets=_share(_note_values(np.diff(onsets))),
        lowest=int(pitch[pitched].min()) if pitched.any() else 0,
        highest=int(pitch[pitched].max()) if pitched.any() else 0,
        polyphony=float(length.sum()) / sounding if sounding else 0.0,
        notes_per_beat=len(start) / beats if beats else 0.0,
        repetition=_repetition(start[pitched], pitch[pitched]),
    )


def _notes(score: Score) -> tuple[Floats, Floats, npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Start and length in beats, MIDI pitch, and whether pitched, of all notes."""
    starts, lengths, pitches, pitched = [], [], [], []
    for track in score.tracks:
        columns = track.notes.numpy()
        starts.append(columns["time"])
        lengths.append(columns["duration"])
        pitches.append(columns["pitch"])
        pitched.append(np.full(len(track.notes), not track.is_drum))
    if not starts:
        return np.empty(0), np.empty(0), np.empty(0, np.int64), np.empty(0, np.bool_)
    beat = float(score.ticks_per_quarter)
    return (
        np.concatenate(starts) / beat,
        np.concatenate(lengths) / beat,
        np.concatenate(pitches).astype(np.int64),
        np.concatenate(pitched),
    )


def _metre(score: Score, beats: float) -> str | None:
    if not len(score.time_signatures):
        return None
    changes = [(t.time / score.ticks_per_quarter, f"{t.numerator}/{t.denominator}") for t in score.time_signatures]
    held: dict[str, float] = {}
    for (begin, metre), (end, _) in zip(changes, [*changes[1:], (beats, "")], strict=True):
        held[metre] = held.get(metre, 0.0) + max(0.0, end - begin)
    return max(held, key=lambda metre: held[metre])


def _tempo(score: Score, beats: float) -> float | None:
    """Beats over the minutes that they take, so that a slow ending counts for what it lasts."""
    if not len(score.tempos):
        return None
    changes = [(min(beats, t.time / score.ticks_per_quarter), float(t.qpm)) for t in score.tempos]
    changes[0] = (0.0, changes[0][1])
    ends = [begin for begin, _ in changes[1:]] + [beats]
    minutes = sum((end - begin) / qpm for (begin, qpm), end in zip(changes, ends, strict=True))
    return beats / minutes if minutes > 0 else changes[0][1]


def _programs(score: Score) -> tuple[int, ...]:
    used = {DRUMS if track.is_drum else int(track.program) for track in score.tracks if len(track.notes)}
    return tuple(sorted(used))


def _note_values(beats: Floats) -> Floats:
    """(len(NOTE_VALUES),) how many of the lengths are nearest, by ratio, to each note value."""
    values = np.log2(NOTE_VALUES)
    edges = (values[1:] + values[:-1]) / 2
    nearest = np.searchsorted(edges, np.log2(np.maximum(beats, 1e-6)))
    return np.bincount(nearest, minlength=len(values)).astype(np.float64)


def _share(counts: Floats) -> Floats:
    total = counts.sum()
    return counts / total if total > 0 else counts


def _union(starts: Floats, ends: Floats) -> float:
    """For how long at least one of the intervals lasts."""
    if not len(starts):
        return 0.0
    order = np.argsort(starts, kind="stable")
    begin, end = starts[order], ends[order]
    reached = np.maximum.accumulate(end)
    gaps = np.maximum(0.0, begin[1:] - reached[:-1]).sum()
    return float(reached[-1] - begin[0] - gaps)


def _repetition(starts: Floats, pitches: npt.NDArray[np.int64]) -> float:
    """Share of motifs of the highest line that occurred before; transposition does not matter."""
    order = np.lexsort((-pitches, starts))
    starts, pitches = starts[order], pitches[order]
    first = np.flatnonzero(np.diff(starts, prepend=-1.0) > 0)
    moves = np.stack([np.diff(pitches[first]).astype(np.float64), np.round(np.diff(starts[first]) * 24)], axis=1)
    motifs = len(moves) - (MOTIF - 1) + 1
    if motifs < 2:
        return 0.0
    windows = np.concatenate([moves[offset : offset + motifs] for offset in range(MOTIF - 1)], axis=1)
    return 1.0 - len(np.unique(windows, axis=0)) / motifs
