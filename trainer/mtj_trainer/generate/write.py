"""Sound as a file that appears only when it is whole."""

from __future__ import annotations

from pathlib import Path

from mtj_trainer.evaluate.sound import Audio, to_wav
from mtj_trainer.storage.atomic import atomic_file


def write_wav(path: Path, sound: Audio, sample_rate: int) -> None:
    """Write (frames, channels) samples as 16-bit WAV."""
    with atomic_file(path) as file:
        file.write(to_wav(sound, sample_rate))
