"""What preparing audio costs a core: beside a plain loop over the same library calls, on three minutes of music.

Run ``OMP_NUM_THREADS=1 python tests/scale/recordings.py``: both in turn within one process, so that both meet the same
machine; medians of the rounds are compared. Prints one JSON object of CPU seconds a minute of audio. The plain loop
decodes, resamples, measures, scales and writes; preparing also trims, limits, and looks for places to cut.
"""

from __future__ import annotations

import io
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import librosa
import numpy as np
import pyloudnorm
import soundfile
import soxr
from librosa.onset import onset_strength

from mtj_api.spec import AudioPreparation

sys.path.insert(0, str(Path(__file__).parents[1]))
from mtj_trainer.prepare.audio import prepare_recording
from support import orchestra, sounds

MINUTES, ROUNDS, RATE = 3, 5, 44_100


def plain_loop(data: bytes, features: bool) -> None:
    samples, rate = soundfile.read(io.BytesIO(data), always_2d=True)
    if rate != RATE:
        samples = soxr.resample(samples, rate, RATE)
    loudness = pyloudnorm.Meter(RATE).integrated_loudness(samples)
    samples = np.clip(samples * 10 ** ((-14.0 - loudness) / 20), -1.0, 1.0)
    for start in range(0, len(samples) - 10 * RATE, 19 * RATE):
        segment = samples[start : start + 20 * RATE]
        soundfile.write(io.BytesIO(), segment, RATE, format="FLAC", subtype="PCM_16")
        if features:
            mono = segment.mean(axis=1)
            librosa.feature.melspectrogram(y=mono, sr=RATE)
            librosa.feature.mfcc(y=mono, sr=RATE)
            librosa.feature.chroma_stft(y=mono, sr=RATE)
            librosa.feature.spectral_contrast(y=mono, sr=RATE)
            onset_strength(y=mono, sr=RATE)


def cpu_seconds_a_minute(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return (time.process_time() - start) / MINUTES


def music(folder: Path) -> sounds.Samples:
    """Chorales until three minutes are full."""
    wav = orchestra.render(orchestra.chorale("bwv269", folder / "a.mid"), folder / "a.wav")
    samples, _ = sounds.decoded(wav)
    frames = MINUTES * 60 * RATE
    return np.tile(samples, (frames // len(samples) + 1, 1))[:frames].astype(np.float32)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        chorales = music(Path(folder))
    unbroken = chorales + 0.03 * sounds.noise(MINUTES * 60.0, 1.0)  # no pause to cut at: beats must be found
    features = AudioPreparation(features=["mel", "mfcc", "chroma", "spectralContrast", "onsetStrength"])
    cases = {
        "wav": (sounds.encoded(chorales), AudioPreparation()),
        "wav without pauses": (sounds.encoded(unbroken), AudioPreparation()),
        "wav 48 kHz": (sounds.encoded(chorales, rate=48_000), AudioPreparation()),
        "mp3": (sounds.encoded(chorales, "mp3"), AudioPreparation()),
        "ogg": (sounds.encoded(chorales, "ogg"), AudioPreparation()),
        "wav with features": (sounds.encoded(chorales), features),
    }
    rows = {}
    for name, (data, settings) in cases.items():
        wanted = bool(settings.features)
        prepare_recording(data, name, settings)  # imports and compilation, once a worker
        rounds = [
            (
                cpu_seconds_a_minute(lambda: prepare_recording(data, name, settings)),  # noqa: B023 - called at once
                cpu_seconds_a_minute(lambda: plain_loop(data, wanted)),  # noqa: B023
            )
            for _ in range(ROUNDS)
        ]
        ours, plain = (statistics.median(column) for column in zip(*rounds, strict=True))
        rows[name] = {"prepared": round(ours, 3), "plain loop": round(plain, 3), "ratio": round(ours / plain, 2)}
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
