"""Music and things that only look like it, made on the spot: what a real folder of somebody's files has in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from support.scores import midi_bytes, score
from support.sounds import Samples, encoded, silence


def melody(seconds: float, rate: int = 22_050, channels: int = 2, seed: int = 0) -> Samples:
    """(frames, channels): a random melody of plucked tones, a note every half second."""
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    beat = np.floor(time * 2).astype(int)
    pitches = random.choice([60, 62, 64, 65, 67, 69, 71, 72], size=beat.max(initial=0) + 1)
    frequency = 440 * 2 ** ((pitches[beat] - 69) / 12)
    tone = np.sin(2 * np.pi * frequency * time) * np.exp(-4 * (time * 2 % 1)) * 0.4
    return np.repeat(tone[:, None], channels, axis=1).astype(np.float32)


def midi(bars: int = 8, seed: int = 0) -> bytes:
    """A random melody of quarter notes in 4/4 at 100, for organ."""
    random = np.random.default_rng(seed)
    pitches = random.choice([60, 62, 64, 65, 67, 69, 71, 72], size=bars * 4)
    return midi_bytes(score([(beat, 1.0, int(pitch)) for beat, pitch in enumerate(pitches)], programs=[19]))


def recording(seconds: float, kind: str = "wav", rate: int = 22_050, channels: int = 2, seed: int = 0) -> bytes:
    """A ``melody`` as a file."""
    return encoded(melody(seconds, rate, channels, seed), kind, rate)


def write(folder: Path, files: dict[str, bytes]) -> Path:
    """The folder, with these files in it."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


GOOD: dict[str, Callable[[], bytes]] = {
    "Ann/First/01 one.wav": lambda: recording(14, seed=1),
    "Ann/First/02 two.flac": lambda: recording(13, "flac", seed=2),
    "Bo/Only/03.ogg": lambda: recording(12, "ogg", seed=3),
    "Bo/Only/03.mid": lambda: midi(seed=3),
    "Ünïcödé, très drôle/L'été/04 naïve (live).mp3": lambda: recording(12, "mp3", seed=4),
    "six channels at 192 kHz.wav": lambda: recording(12, "wav", 192_000, 6, seed=5),
    "alone.mid": lambda: midi(seed=6),
    "other.midi": lambda: midi(seed=7),
}
"""Files that are music, with everything in their names and forms that is allowed."""

BAD: dict[str, tuple[str, Callable[[], bytes]]] = {
    "cut off.ogg": ("truncated", lambda: recording(20, "ogg")[:-5_000]),
    "text.wav": ("not-audio", lambda: b"This is not a recording at all.\n" * 40),
    "empty.wav": ("empty-file", lambda: b""),
    "empty.mid": ("empty-file", lambda: b""),
    "a moment.wav": ("too-short", lambda: recording(0.2)),
    "silence.wav": ("silent", lambda: encoded(silence(12))),
    "broken.mid": ("broken-midi", lambda: midi()[:40]),
}
"""Files that are not, and the reason that each is to be counted under."""

OTHER = {"cover.jpg": b"\xff\xd8\xff", "notes.txt": b"practice more", ".DS_Store": b"\0"}
"""Files that nobody would expect to be prepared."""


def mixed(folder: Path) -> Path:
    """A folder with all of these."""
    files = {name: make() for name, make in GOOD.items()} | {name: make() for name, (_, make) in BAD.items()} | OTHER
    return write(folder, files)
