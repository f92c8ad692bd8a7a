"""Cuts cover every sample within the bounds, and go where the music has marks."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mtj_api.spec import Segmentation
from mtj_trainer.prepare.audio.analysis import Analysis
from mtj_trainer.prepare.audio.levels import measure_levels
from mtj_trainer.prepare.audio.marks import beats, changes, pauses
from mtj_trainer.prepare.audio.segment import Mark, Span, plan_segments
from support import sounds

RATE = 100


@st.composite
def segmentations(draw: st.DrawFn) -> Segmentation:
    least = draw(st.floats(0.5, 60.0))
    most = draw(st.floats(least, 90.0))
    overlap = draw(st.floats(0.0, least, exclude_max=True))
    return Segmentation(min_seconds=least, max_seconds=most, overlap_seconds=min(overlap, 60.0))


def seconds(spans: list[Span], rate: int = RATE) -> list[tuple[float, float]]:
    return [(span.start / rate, span.end / rate) for span in spans]


@given(
    segmentation=segmentations(),
    length=st.floats(0.5, 900.0),
    marks=st.lists(st.builds(Mark, st.integers(-100, 100_000), st.floats(0.0, 1.0)), max_size=60),
)
def test_every_sample_is_covered_by_lengths_within_their_bounds(
    segmentation: Segmentation, length: float, marks: list[Mark]
) -> None:
    frames = round(length * RATE)
    assume(frames >= segmentation.min_seconds * RATE)
    spans = plan_segments(frames, RATE, segmentation, marks)

    assert spans[0].start == 0
    assert spans[-1].end == frames
    lengths = [(span.end - span.start) / RATE for span in spans]
    assert min(lengths) >= segmentation.min_seconds - 1e-6
    assert max(lengths) <= max(segmentation.max_seconds, segmentation.min_seconds + 1 / RATE) + 1e-6

    overlap = min(round(segmentation.overlap_seconds * RATE), int(np.ceil(segmentation.min_seconds * RATE - 1e-6)) - 1)
    overlaps = [before.end - after.start for before, after in pairwise(spans)]
    assert all(found >= overlap for found in overlaps)
    if _fits(frames, segmentation, overlap):
        assert all(found == overlap for found in overlaps)


def _fits(frames: int, segmentation: Segmentation, overlap: int) -> bool:
    """Whether some number of segments covers the frames with exactly this overlap."""
    shortest = int(np.ceil(segmentation.min_seconds * RATE - 1e-6))
    longest = max(shortest, int(segmentation.max_seconds * RATE + 1e-6))
    return any(
        n * shortest <= frames + (n - 1) * overlap <= n * longest for n in range(1, frames // (shortest - overlap) + 2)
    )


@pytest.mark.parametrize(
    ("length", "bounds", "overlap", "expected"),
    [
        (12, (10, 30), 1, [(0, 12)]),
        (10, (10, 30), 1, [(0, 10)]),
        (30, (10, 30), 0, [(0, 15), (15, 30)]),
        (58, (10, 30), 1, [(0, 20), (19, 39), (38, 58)]),
        (31, (10, 10), 1, [(0, 10), (7, 17), (14, 24), (21, 31)]),  # no exact overlap fits: a longer one
        (15, (10, 12), 1, [(0, 10), (5, 15)]),
    ],
)
def test_without_marks_the_lengths_are_equal(
    length: int, bounds: tuple[float, float], overlap: float, expected: list[tuple[float, float]]
) -> None:
    segmentation = Segmentation(min_seconds=float(bounds[0]), max_seconds=float(bounds[1]), overlap_seconds=overlap)
    assert seconds(plan_segments(length * RATE, RATE, segmentation)) == expected


@pytest.mark.parametrize(
    ("marks", "cuts"),
    [
        ([(22, 1.0)], [22, 39]),  # a phrase end near the equal cut at 20 draws it
        ([(22, 0.1), (20.5, 0.1)], [20.5, 39]),  # of two beats the one that keeps lengths more equal
        ([(19, 0.15), (24, 1.0)], [24, 41]),  # a phrase end farther off beats a beat nearby
        ([(2, 1.0), (57, 1.0)], [20, 39]),  # too near the ends for any segment
    ],
)
def test_cuts_are_drawn_to_marks(marks: list[tuple[float, float]], cuts: list[float]) -> None:
    segmentation = Segmentation(min_seconds=10.0, max_seconds=30.0, overlap_seconds=1.0)
    spans = plan_segments(58 * RATE, RATE, segmentation, [Mark(round(at * RATE), worth) for at, worth in marks])
    assert [end for _, end in seconds(spans)[:-1]] == pytest.approx(cuts, abs=2.01)
    assert seconds(spans)[0][1] == cuts[0]


def test_a_recording_shorter_than_a_segment_cannot_be_cut() -> None:
    with pytest.raises(ValueError, match="shortest segment"):
        plan_segments(9 * RATE, RATE, Segmentation())


def test_pauses_are_found_in_the_gaps_and_the_longer_are_worth_more() -> None:
    short, long = (
        pauses(measure_levels(sounds.phrases([3.0, 4.0, 3.5, 4.5], gap=gap), sounds.RATE)) for gap in (0.12, 0.6)
    )
    for found, gap in ((short, 0.12), (long, 0.6)):
        starts = np.cumsum([3.0, 4.0 + gap, 3.5 + gap])
        times = np.array([mark.frame / sounds.RATE for mark in found])[:3]
        assert ((times > starts) & (times < starts + gap)).all()
    assert short[0].worth < long[0].worth == 1.0


def test_a_steady_sound_has_no_pauses() -> None:
    assert pauses(measure_levels(sounds.noise(20.0), sounds.RATE)) == []


def test_a_change_of_sound_is_found() -> None:
    samples = np.concatenate([sounds.noise(12.0, 0.05), sounds.sine(12.0, 220, 0.1), sounds.noise(12.0, 0.05, seed=1)])
    rhythm = Analysis(samples, sounds.RATE).rhythm
    found = [mark.frame / sounds.RATE for mark in changes(rhythm, sounds.RATE)]
    for at in (12.0, 24.0):
        assert min(abs(time - at) for time in found) < 1.0


def test_beats_are_marked_just_before_they_sound() -> None:
    rhythm = Analysis(sounds.clicks(20.0, beats_a_minute=100) + sounds.noise(20.0, 1e-4), sounds.RATE).rhythm
    assert rhythm.tempo == pytest.approx(100, rel=0.01)
    off = np.array([mark.frame / sounds.RATE for mark in beats(rhythm, sounds.RATE)][1:-1])
    to_beat = (off + 0.3) % 0.6 - 0.3
    assert np.abs(to_beat + 0.02).max() < 0.03


def test_what_does_not_move_has_no_beat() -> None:
    rhythm = Analysis(sounds.silence(5.0), sounds.RATE).rhythm
    assert rhythm.tempo is None
    assert len(rhythm.beat_seconds) == 0
