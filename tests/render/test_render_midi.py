"""MIDI to sound: of the right length, neither silent nor clipped, and there without FluidSynth too."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from mtj_trainer.render import render_midi
from mtj_trainer.render.fluidsynth import find_sound_font
from support.scores import chorale, midi_bytes, score

RATE = 22_050


@pytest.fixture(params=["fluidsynth", "plain tones"])
def renderer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "plain tones":
        monkeypatch.setenv("PATH", "")
    elif shutil.which("fluidsynth") is None:
        pytest.skip("FluidSynth is not installed")
    return str(request.param)


def test_a_score_sounds_from_its_first_note_to_its_last(renderer: str) -> None:
    sound = render_midi(midi_bytes(chorale(bars=4)), RATE)
    assert sound.dtype == np.float32
    assert sound.shape[1] == 2
    assert 16 * 0.6 - 0.1 <= len(sound) / RATE <= 16 * 0.6 + 6
    assert np.sqrt(np.mean(sound[: 8 * RATE] ** 2)) > 0.01
    assert 0.05 < np.abs(sound).max() < 1.0


def test_the_pitch_is_right(renderer: str) -> None:
    sound = render_midi(midi_bytes(score([(0, 4, 69)], programs=[73])), RATE)[RATE // 2 : RATE // 2 + RATE]
    spectrum = np.abs(np.fft.rfft(sound[:, 0] * np.hanning(len(sound))))
    peak = float(np.argmax(spectrum[100:1000]) + 100)
    assert peak == pytest.approx(440, abs=5)


def test_many_loud_notes_do_not_clip(renderer: str) -> None:
    loud = score(*[[(0, 4, 40 + 3 * part)] for part in range(15)], programs=[19] * 15)
    assert np.abs(render_midi(midi_bytes(loud), RATE)).max() < 1.0


def test_a_file_may_be_given_by_its_path(renderer: str, tmp_path: Path) -> None:
    path = tmp_path / "é à.mid"
    path.write_bytes(midi_bytes(chorale(bars=1)))
    assert len(render_midi(path, RATE)) > RATE


def test_what_is_no_midi_is_an_error_and_no_silence(renderer: str) -> None:
    with pytest.raises(Exception, match=r".+"):
        render_midi(b"this is not MIDI", RATE)


def test_the_sound_font_comes_with_the_installation() -> None:
    assert find_sound_font() is not None
