"""Sound as a file that appears only when it is whole."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from mtj_trainer.storage.atomic import atomic_file


def write_wav(path: Path, sound: npt.NDArray[np.float32], sample_rate: int) -> None:
    """Write (frames, channels) samples as 16-bit WAV; what goes beyond full scale is cut off."""
    packed = io.BytesIO()
    soundfile.write(packed, np.clip(sound, -1.0, 1.0), sample_rate, format="WAV", subtype="PCM_16")
    with atomic_file(path) as file:
        file.write(packed.getbuffer())
