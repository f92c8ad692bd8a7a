"""Polyphony of a fixed number of voices on a metrical grid: one token a voice and step, highest voice first.

The representation of Music Transformer's chorales (Huang et al. 2018, arXiv 1809.04281, section 4.1): a held
note repeats its pitch, so a repeated note and a held one look the same. Beyond it, each position knows its
voice, its place in the bar, and what its voice sang last and for how long (after the repetition encoding of
TonicNet, Peracha 2019, arXiv 1911.11775): all of it follows from the tokens before and the metre.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
from symusic import Note, Score, Tempo, TimeSignature, Track

from mtj_trainer.prepare.quarantine import Unusable
from mtj_trainer.tokens.conditions import Conditions, ConditionTokens

LOWEST, HIGHEST = 21, 108
PAD, BEGIN, END, REST, FIRST_PITCH = 0, 1, 2, 3, 4
PITCHES = HIGHEST - LOWEST + 1
FIRST_START = FIRST_PITCH + PITCHES
STARTS = 48
"""Tokens that open a piece and say at which step of its bar it begins: a piece with an upbeat begins late."""
LONGEST_HOLD = 32
VELOCITY = 80


class GridTokenizer:
    """See the module; satisfies ``Tokenizer``."""

    pad, begin, end = PAD, BEGIN, END

    def __init__(self, steps_per_beat: int, voices: int) -> None:
        self.steps_per_beat = steps_per_beat
        self.voices = voices
        self._conditions = ConditionTokens(FIRST_START + STARTS)
        self.size = self._conditions.end
        self.feature_sizes = (voices + 1, STARTS + 1, LONGEST_HOLD + 1, FIRST_START, *self._conditions.class_counts)
        self.sampleable = np.zeros(self.size, dtype=np.bool_)
        self.sampleable[REST : FIRST_START + STARTS] = True

    def encode(self, score: Score) -> npt.NDArray[np.uint16]:
        """See ``Tokenizer.encode``: the start token, then ``voices`` tokens a step."""
        tracks = [track for track in score.tracks if len(track.notes) and not track.is_drum]
        if len(tracks) != self.voices:
            raise Unusable("voices", f"has {len(tracks)} parts with notes where the grid has {self.voices} voices")
        tracks.sort(key=lambda track: -float(np.mean(track.notes.numpy()["pitch"])))
        ticks = score.ticks_per_quarter / self.steps_per_beat
        steps = max(round(note.end / ticks) for track in tracks for note in track.notes)
        grid = np.full((steps, self.voices), REST, dtype=np.uint16)
        for voice, track in enumerate(tracks):
            for note in sorted(track.notes, key=lambda note: (note.start, note.pitch)):
                if not LOWEST <= note.pitch <= HIGHEST:
                    raise Unusable("range", f"has the pitch {note.pitch}, outside {LOWEST} to {HIGHEST}")
                begin = round(note.start / ticks)
                grid[begin : max(begin + 1, round(note.end / ticks)), voice] = FIRST_PITCH + note.pitch - LOWEST
        silent = int(np.argmax((grid != REST).any(axis=1)))
        start = silent % self._bar(_metre(score))
        if start >= STARTS:
            raise Unusable("metre", f"begins at step {start} of its bar, later than the grid can say")
        return np.concatenate([[FIRST_START + start], grid[silent:].reshape(-1)]).astype(np.uint16)

    def decode(self, tokens: npt.NDArray[np.integer], conditions: Conditions) -> Score:
        """See ``Tokenizer.decode``; a run of one pitch becomes one note, cut at bar lines where it fills a bar."""
        start, grid = self._grid(np.asarray(tokens, dtype=np.int64))
        ticks = 480 // self.steps_per_beat
        score = Score(480)
        metre = conditions.metre or "4/4"
        numerator, denominator = (int(part) for part in metre.split("/"))
        score.time_signatures.append(TimeSignature(0, numerator, denominator))
        score.tempos.append(Tempo(0, conditions.tempo or 100.0))
        programs = conditions.instruments or (19,)
        for voice in range(self.voices):
            track = Track(f"Voice {voice + 1}", programs[min(voice, len(programs) - 1)], False)
            for begin, end in _runs(grid[:, voice]):
                pitch = int(grid[begin, voice])
                if FIRST_PITCH <= pitch < FIRST_START:
                    note = Note((start + begin) * ticks, (end - begin) * ticks, pitch - FIRST_PITCH + LOWEST, VELOCITY)
                    track.notes.append(note)
            score.tracks.append(track)
        return score

    def prefix(self, conditions: Conditions) -> list[int]:
        """See ``Tokenizer.prefix``."""
        return self._conditions.prefix(conditions)

    def transpose(self, tokens: npt.NDArray[np.uint16], semitones: int) -> npt.NDArray[np.uint16]:
        """See ``Tokenizer.transpose``."""
        if semitones == 0:
            return tokens
        is_pitch = (tokens >= FIRST_PITCH) & (tokens < FIRST_START)
        pitch = tokens.astype(np.int64) - FIRST_PITCH + semitones
        pitch = np.where(pitch < 0, pitch + 12, np.where(pitch >= PITCHES, pitch - 12, pitch))
        return np.where(is_pitch, pitch + FIRST_PITCH, tokens).astype(np.uint16)

    def features(
        self, tokens: npt.NDArray[np.integer], conditions: Conditions, metre: str | None = None
    ) -> npt.NDArray[np.int64]:
        """See ``Tokenizer.features``: voice, step in the bar, how long its voice has held what, conditions."""
        tokens = np.asarray(tokens, dtype=np.int64)
        count = len(tokens)
        rows = np.zeros((count + 1, len(self.feature_sizes)), dtype=np.int64)
        rows[:, 4:] = self._conditions.classes(conditions)
        if count == 0:
            return rows
        start = int(np.clip(tokens[0] - FIRST_START, 0, STARTS - 1))
        steps = -(-count // self.voices)
        grid = np.zeros((steps, self.voices), dtype=np.int64)
        grid.reshape(-1)[: count - 1] = np.where(tokens[1:] < FIRST_START, tokens[1:], REST)
        held = _held(grid)
        before = np.zeros((steps, self.voices), dtype=np.int64)
        before[1:] = grid[:-1]
        length = np.zeros((steps, self.voices), dtype=np.int64)
        length[1:] = np.minimum(held[:-1], LONGEST_HOLD)
        place = (np.arange(steps) + start) % self._bar(metre or conditions.metre or "4/4")
        rows[1:, 0] = (np.arange(count) % self.voices) + 1
        rows[1:, 1] = np.minimum(np.repeat(place, self.voices)[:count] + 1, STARTS)
        rows[1:, 2] = length.reshape(-1)[:count]
        rows[1:, 3] = before.reshape(-1)[:count]
        return rows

    def bars(self, tokens: npt.NDArray[np.integer], conditions: Conditions) -> int:
        """See ``Tokenizer.bars``."""
        if len(tokens) == 0:
            return 0
        start = int(np.clip(int(tokens[0]) - FIRST_START, 0, STARTS - 1))
        return (start + (len(tokens) - 1) // self.voices) // self._bar(conditions.metre or "4/4")

    def first_bars(self, tokens: npt.NDArray[np.uint16], conditions: Conditions, bars: int) -> npt.NDArray[np.uint16]:
        """See ``Tokenizer.first_bars``; an upbeat counts as a part of the first bar."""
        start = int(np.clip(int(tokens[0]) - FIRST_START, 0, STARTS - 1))
        steps = bars * self._bar(conditions.metre or "4/4") - start
        return tokens[: 1 + max(0, steps) * self.voices]

    def settings(self) -> dict[str, str | int]:
        """See ``Tokenizer.settings``."""
        return {
            "tokenizer": "grid",
            "steps_per_beat": self.steps_per_beat,
            "voices": self.voices,
            "size": self.size,
        }

    def _bar(self, metre: str) -> int:
        numerator, denominator = (int(part) for part in metre.split("/"))
        return max(1, round(numerator * 4 * self.steps_per_beat / denominator))

    def _grid(self, tokens: npt.NDArray[np.int64]) -> tuple[int, npt.NDArray[np.int64]]:
        """The first step's place in the bar, and (steps, voices) tokens; an unfinished last step is dropped."""
        if len(tokens) and FIRST_START <= tokens[0] < FIRST_START + STARTS:
            start, body = int(tokens[0] - FIRST_START), tokens[1:]
        else:
            start, body = 0, tokens
        steps = len(body) // self.voices
        return start, body[: steps * self.voices].reshape(steps, self.voices)


def _metre(score: Score) -> str:
    if not len(score.time_signatures):
        return "4/4"
    first = score.time_signatures[0]
    return f"{first.numerator}/{first.denominator}"


def _runs(column: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
    """(begin, end) of each stretch of equal values."""
    if not len(column):
        return []
    changes = np.flatnonzero(np.diff(column)) + 1
    edges = [0, *changes.tolist(), len(column)]
    return list(pairwise(edges))


def _held(grid: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """(steps, voices) for how many steps, this one included, each voice has had its value."""
    steps = np.arange(len(grid))[:, None]
    changed = np.ones(grid.shape, dtype=np.bool_)
    changed[1:] = grid[1:] != grid[:-1]
    last_change = np.maximum.accumulate(np.where(changed, steps, 0), axis=0)
    result: npt.NDArray[np.int64] = steps - last_change + 1
    return result
