"""A score as a picture: notes over time, coloured by part, with bar lines."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup, escape
from symusic import Note, Score, Track

WIDTH = 560
LEFT = 26
LANE_HEIGHTS = (3.0, 6.0)
"""Pixels a semitone: narrow for a wide range, high for a narrow one, so that all pictures are of a like height."""

TARGET_HEIGHT = 170
GIVEN_HEIGHT = 16.0
"""Room above the notes for the word that marks a given opening."""

COLOURS = 6
"""Parts beyond that many share colours."""


@dataclass(frozen=True)
class PianoRoll:
    """The picture, what it shows of each part (name, colour class), and how long it lasts."""

    svg: Markup
    parts: list[tuple[str, str]]
    seconds: float


def piano_roll(score: Score, title: str, *, given_beats: float = 0.0, seconds: float | None = None) -> PianoRoll:
    """Draw a score in ticks; time runs evenly in seconds, so that a playhead can follow the sound.

    Args:
        given_beats: quarter notes at the beginning that are marked as given.
        seconds: how long the picture lasts; its own notes by default.
    """
    timed = score.to("second")
    playing = [(number, track) for number, track in enumerate(timed.tracks) if len(track.notes)]
    ends = [float(note.start + note.duration) for _, track in playing for note in track.notes]
    end = seconds or max(ends, default=1.0)
    pitches = [int(note.pitch) for _, track in playing for note in track.notes] or [60]
    low, high = min(pitches) - 2, max(pitches) + 2
    lane = min(LANE_HEIGHTS[1], max(LANE_HEIGHTS[0], TARGET_HEIGHT / (high - low + 1)))
    top = GIVEN_HEIGHT if given_beats else 0.0
    height = top + lane * (high - low + 1)

    def x(time: float) -> float:
        return LEFT + time / end * (WIDTH - LEFT)

    def y(pitch: int) -> float:
        return top + (high - pitch) * lane

    parts = []
    times = _times(score, [*_bars(score), given_beats])
    if given_beats:
        parts.append(f'<rect class="given" x="{LEFT}" y="0" width="{x(times[-1]) - LEFT:.1f}" height="{height:.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT + 4}" y="11">given</text>')
    for octave_c in range(-(-low // 12) * 12, high + 1, 12):
        at = y(octave_c) + lane
        parts.append(f'<path class="grid" d="M{LEFT} {at:.1f}H{WIDTH}"/>')
        parts.append(
            f'<text class="tick" x="{LEFT - 5}" y="{at + 1:.1f}" text-anchor="end">C{octave_c // 12 - 1}</text>'
        )
    parts += [f'<path class="grid" d="M{x(time):.1f} 0V{height:.1f}"/>' for time in times[:-1] if 0 < time < end]
    legend = []
    for colour, (number, track) in enumerate(playing):
        style = f"part{colour % COLOURS}"
        legend.append((part_name(score.tracks[number], number), style))
        for note in track.notes:
            width = max(1.5, x(note.start + note.duration) - x(note.start) - 0.8)
            parts.append(
                f'<rect class="{style}" x="{x(note.start):.1f}" y="{y(note.pitch):.1f}" '
                f'width="{width:.1f}" height="{lane:.1f}" rx="1"/>'
            )
    parts.append(
        f'<line class="playhead" x1="{LEFT}" x2="{LEFT}" y1="0" y2="{height:.1f}" '
        f'data-from="{LEFT}" data-to="{WIDTH}"/>'
    )
    described = f"Piano roll of {title}: {len(pitches)} notes in {len(playing)} parts, {end:.0f} seconds"
    svg = Markup(  # noqa: S704 - the description is escaped, all else are numbers
        f'<svg class="roll" viewBox="0 0 {WIDTH} {height:.1f}" role="img" aria-label="{escape(described)}">'
        f"{''.join(parts)}</svg>"
    )
    return PianoRoll(svg, legend, end)


def part_name(track: Track, number: int) -> str:
    """The part's own name, else its instrument's."""
    if track.name.strip():
        return str(track.name.strip())
    return "Drums" if track.is_drum else instrument_name(track.program) or f"Part {number + 1}"


def instrument_name(program: int) -> str:
    """What General MIDI calls a program; 128 is a drum kit."""
    from miditok.constants import MIDI_INSTRUMENTS

    return "Drums" if program == 128 else str(MIDI_INSTRUMENTS[program]["name"])


def _bars(score: Score) -> list[float]:
    """Where bars begin, in quarter notes."""
    beats = score.end() / score.ticks_per_quarter
    metres = [(m.time / score.ticks_per_quarter, 4.0 * m.numerator / m.denominator) for m in score.time_signatures]
    metres = metres or [(0.0, 4.0)]
    ends = [begin for begin, _ in metres[1:]] + [beats]
    bars: list[float] = []
    for (begin, length), until in zip(metres, ends, strict=True):
        at = begin
        while at < until - 1e-6 and len(bars) < 2000:
            bars.append(at)
            at += length
    return bars


def _times(score: Score, beats: list[float]) -> list[float]:
    """Seconds at which these quarter notes are played, by the score's own tempi."""
    ruler = Score(score.ticks_per_quarter)
    ruler.tempos = score.tempos
    track = Track("", 0, False)
    for beat in beats:
        track.notes.append(Note(round(beat * score.ticks_per_quarter), 1, 60, 1))
    ruler.tracks.append(track)
    times = sorted(note.start for note in ruler.to("second").tracks[0].notes)
    order = sorted(range(len(beats)), key=lambda index: beats[index])
    placed = [0.0] * len(beats)
    for time, index in zip(times, order, strict=True):
        placed[index] = float(time)
    return placed
