"""What the statistics say of scores small enough to check by hand, and what transposing a score does to them."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from symusic import Note, Score, Tempo, TimeSignature, Track

from mtj_trainer.evaluate.statistics import NOTE_VALUES, Statistics, statistics

BEAT = 480
Notes = list[tuple[float, float, int]]


def score_of(*parts: Notes, programs: tuple[int, ...] = (0,), drums: bool = False) -> Score:
    """A score of parts, each a list of (start in beats, beats, MIDI pitch)."""
    score = Score(BEAT)
    for number, notes in enumerate(parts):
        track = Track(f"part {number}", programs[number % len(programs)], drums)
        for start, beats, pitch in notes:
            track.notes.append(Note(round(start * BEAT), round(beats * BEAT), pitch, 80))
        score.tracks.append(track)
    return score


def line(*pitches: int, beats: float = 1.0) -> Notes:
    return [(number * beats, beats, pitch) for number, pitch in enumerate(pitches)]


C_MAJOR_SCALE = line(60, 62, 64, 65, 67, 69, 71, 72, 67, 64, 60)


def test_a_line_in_quarters() -> None:
    found = statistics(score_of(C_MAJOR_SCALE))
    assert (found.notes, found.beats, found.key) == (11, 11.0, "Cmaj")
    assert (found.lowest, found.highest) == (60, 72)
    assert found.polyphony == found.notes_per_beat == 1.0
    assert found.durations[NOTE_VALUES.index(1)] == found.inter_onsets[NOTE_VALUES.index(1)] == 1.0
    assert found.pitch_classes[0] == pytest.approx(3 / 11)
    assert found.metre is None
    assert found.tempo is None


def test_chords_sound_together_and_start_at_once() -> None:
    found = statistics(score_of(line(60, 65, beats=2.0), line(64, 69, beats=2.0), line(67, 72, beats=2.0)))
    assert found.polyphony == pytest.approx(3.0)
    assert found.notes_per_beat == pytest.approx(1.5)
    assert found.inter_onsets[NOTE_VALUES.index(2)] == 1.0


def test_a_rest_is_not_polyphony() -> None:
    assert statistics(score_of([(0, 1, 60), (3, 1, 64)])).polyphony == pytest.approx(1.0)


@pytest.mark.parametrize("value", NOTE_VALUES)
@pytest.mark.parametrize("stretch", [0.97, 1.0, 1.03])
def test_every_note_value_is_recognized(value: float, stretch: float) -> None:
    notes = [(number * value * stretch, value * stretch, 60) for number in range(4)]
    found = statistics(score_of(notes))
    assert found.durations[NOTE_VALUES.index(value)] == 1.0
    assert found.inter_onsets[NOTE_VALUES.index(value)] == 1.0


@pytest.mark.parametrize(
    ("tempos", "signatures", "tempo", "metre"),
    [
        ([(0, 120)], [(0, 3, 4)], 120.0, "3/4"),
        ([(0, 60), (4, 120)], [(0, 4, 4), (4, 6, 8)], 8 / (4 / 60 + 4 / 120), "4/4"),
        ([(0, 90)], [(0, 4, 4), (1, 3, 4)], 90.0, "3/4"),
        ([(0, 90), (100, 20)], [(0, 2, 4), (100, 3, 4)], 90.0, "2/4"),
    ],
)
def test_tempo_and_metre_are_those_that_last(
    tempos: list[tuple[int, float]], signatures: list[tuple[int, int, int]], tempo: float, metre: str
) -> None:
    score = score_of(line(*[60] * 8))
    for beat, qpm in tempos:
        score.tempos.append(Tempo(beat * BEAT, qpm))
    for beat, numerator, denominator in signatures:
        score.time_signatures.append(TimeSignature(beat * BEAT, numerator, denominator))
    found = statistics(score)
    assert found.tempo == pytest.approx(tempo)
    assert found.metre == metre


def test_programs_are_those_that_play() -> None:
    score = score_of(line(60), line(64), [], programs=(40, 0, 73))
    score.tracks.append(score_of(line(36), drums=True).tracks[0])
    assert statistics(score).programs == (0, 40, 128)


def test_drums_have_rhythm_and_no_pitch() -> None:
    found = statistics(score_of(line(36, 38, 36, 38), drums=True))
    assert found.key is None
    assert not found.pitch_classes.any()
    assert (found.lowest, found.highest) == (0, 0)
    assert found.inter_onsets[NOTE_VALUES.index(1)] == 1.0


@pytest.mark.parametrize(
    ("pitches", "repetition"),
    [
        ([60, 62, 64, 65] * 4, pytest.approx(1 - 4 / 13)),
        ([60, 62, 64, 66, 67, 65, 64, 60], 0.0),
        ([60, 61, 62, 63, 64, 65, 66, 67], pytest.approx(1 - 1 / 5)),
        ([60], 0.0),
    ],
)
def test_repetition_counts_motifs_heard_before(pitches: list[int], repetition: float) -> None:
    assert statistics(score_of(line(*pitches))).repetition == repetition


@pytest.mark.parametrize("score", [Score(BEAT), score_of([])], ids=["no track", "no note"])
def test_silence_has_statistics_too(score: Score) -> None:
    found = statistics(score)
    assert (found.notes, found.beats, found.polyphony, found.notes_per_beat, found.repetition) == (0, 0, 0, 0, 0)
    assert found.key is None
    assert found.programs == ()


notes = st.lists(
    st.tuples(st.integers(0, 64), st.integers(1, 16), st.integers(36, 84)).map(lambda n: (n[0] / 4, n[1] / 4, n[2])),
    min_size=1,
    max_size=30,
)


@given(notes=notes, semitones=st.integers(-12, 12))
def test_transposing_moves_pitches_and_nothing_else(notes: Notes, semitones: int) -> None:
    one, other = (statistics(score_of([(s, b, p + by) for s, b, p in notes])) for by in (0, semitones))
    np.testing.assert_allclose(np.roll(one.pitch_classes, semitones), other.pitch_classes, atol=1e-12)
    assert (one.lowest + semitones, one.highest + semitones) == (other.lowest, other.highest)
    assert _rhythm(one) == _rhythm(other)


@given(notes=notes)
def test_polyphony_is_sounding_time_over_the_time_in_which_any_note_sounds(notes: Notes) -> None:
    steps = {Fraction(step, 4) for start, beats, _ in notes for step in range(int(start * 4), int((start + beats) * 4))}
    expected = sum(beats for _, beats, _ in notes) / (len(steps) / 4)
    assert statistics(score_of(notes)).polyphony == pytest.approx(expected)


def _rhythm(found: Statistics) -> tuple[object, ...]:
    return (
        found.notes,
        found.beats,
        found.polyphony,
        found.repetition,
        found.durations.tolist(),
        found.inter_onsets.tolist(),
    )
