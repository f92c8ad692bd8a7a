"""MIDI to audio with FluidSynth, and as plain tones where FluidSynth is not installed.

Invariant: the same file sounds the same on every machine with the same FluidSynth: the sound font is always TimGM6mb,
which pretty_midi brings along and Debian packages; and nothing clips.
"""

from __future__ import annotations

import functools
import importlib.util
import io
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

SOUND_FONT = "TimGM6mb.sf2"
SYSTEM_SOUND_FONTS = Path("/usr/share/sounds/sf2")
GAIN = 0.5
"""FluidSynth's own default of 0.2 is faint; full chords stay below full scale with this."""
HIGHEST_PEAK = 0.97


def render_midi(midi: Path | bytes, sample_rate: int = 44_100) -> npt.NDArray[np.float32]:
    """Play a MIDI file.

    Args:
        midi: the file, or what is in it.
        sample_rate: samples a second.

    Returns:
        (frames, 2) in -1 to 1, with the reverberation after the last note.

    Raises:
        RuntimeError: FluidSynth is installed, and failed.
    """
    data = midi if isinstance(midi, bytes) else midi.read_bytes()
    program, font = shutil.which("fluidsynth"), find_sound_font()
    sound = _with_fluidsynth(program, font, data, sample_rate) if program and font else plain_tones(data, sample_rate)
    peak = float(np.abs(sound).max(initial=0.0))
    return sound * np.float32(HIGHEST_PEAK / peak) if peak > HIGHEST_PEAK else sound


def plain_tones(midi: bytes, sample_rate: int) -> npt.NDArray[np.float32]:
    """(frames, 2): each note as a decaying triangle-like tone, with no instruments."""
    import pretty_midi  # seconds to import, and only needed where FluidSynth is missing

    score = pretty_midi.PrettyMIDI(io.BytesIO(midi))
    mono = np.asarray(score.synthesize(fs=sample_rate), dtype=np.float32)
    return np.repeat(mono[:, None], 2, axis=1)


@functools.cache
def find_sound_font() -> Path | None:
    """The sound font, in pretty_midi's installation or the system's."""
    spec = importlib.util.find_spec("pretty_midi")
    folders = [Path(folder) for folder in (spec.submodule_search_locations or [])] if spec else []
    return next((f / SOUND_FONT for f in [*folders, SYSTEM_SOUND_FONTS] if (f / SOUND_FONT).is_file()), None)


def _with_fluidsynth(program: str, font: Path, midi: bytes, sample_rate: int) -> npt.NDArray[np.float32]:
    with tempfile.TemporaryDirectory(prefix="render-") as folder:
        source, target = Path(folder) / "in.mid", Path(folder) / "out.wav"
        source.write_bytes(midi)
        options = f"-n -i -q -g {GAIN} -r {sample_rate} -T wav -O float -F".split()
        done = subprocess.run([program, *options, target, font, source], capture_output=True, text=True, check=False)
        if done.returncode != 0 or not target.exists():
            raise RuntimeError(f"fluidsynth failed with exit code {done.returncode}: {done.stderr.strip()[-300:]}")
        sound, _ = soundfile.read(target, dtype="float32", always_2d=True)
    return np.asarray(sound, dtype=np.float32)
