"""Real music for tests: a score played by FluidSynth, so that its key, tempo and length are known."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path

import pytest
import symusic

PIANO, STRINGS, ORGAN = 0, 48, 19


def cadences(bars: int, tempo: float, tonic: int = 60, minor: bool = False, program: int = PIANO) -> symusic.Score:
    """I - IV - V - I in quarter notes, four chords a bar, with a melody above and a rest after every fourth bar."""
    score = symusic.Score(480)
    score.tempos.append(symusic.Tempo(0, tempo))
    track = symusic.Track(program=program)
    third = 3 if minor else 4
    degrees = ((0, third, 7), (5, 5 + third, 12), (7, 11, 14), (0, third, 7))
    melody = (12, 17, 11, 12)
    for bar in range(bars):
        for beat, chord in enumerate(degrees):
            ends_phrase = bar % 4 == 3 and beat == 3
            length = 240 if ends_phrase else 456
            for interval in (-12 + chord[0], *chord, melody[beat]):
                loud = 96 if beat == 0 else 80
                track.notes.append(symusic.Note((4 * bar + beat) * 480, length, tonic + interval, loud))
    score.tracks.append(track)
    return score


def chorale(name: str, midi: Path) -> Path:
    """One of music21's chorales as a MIDI file."""
    from music21 import corpus

    corpus.parse(f"bach/{name}").write("midi", midi)
    return midi


def render(midi: Path, wav: Path) -> bytes:
    """The WAV file (44.1 kHz, 16 bits, stereo) of a MIDI file; skips the test where FluidSynth is not installed."""
    if shutil.which("fluidsynth") is None:
        pytest.skip("FluidSynth is not installed")
    command = ["fluidsynth", "-ni", "-g", "0.6", "-r", "44100", "-F", str(wav), str(_soundfont()), str(midi)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return wav.read_bytes()


def _soundfont() -> Path:
    """The small General MIDI soundfont that comes with pretty_midi."""
    package = importlib.util.find_spec("pretty_midi")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent / "TimGM6mb.sf2"
