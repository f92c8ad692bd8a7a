"""A small prepared data set of recordings, made by the real steps of the prepare stage in this process."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mtj_api.spec import AudioPreparation, MidiPreparation, Split
from mtj_api.spec.dataset import Segmentation
from mtj_trainer.prepare.manifest import Contents, write_dataset
from mtj_trainer.prepare.process import UnitTask, prepare_unit
from mtj_trainer.prepare.units import plan_units, sort_sources
from mtj_trainer.storage import open_storage
from support.sounds import encoded, noise, sine


def prepare_tones(folder: Path, count: int = 12, seconds: float = 2.5, rate: int = 8_000) -> str:
    """Prepare recordings of two tones each, mono, and return the data set's URL."""
    source, cache = open_storage(str(folder / "music")), open_storage(str(folder / "cache"))
    for n in range(count):
        low = 110.0 * 2 ** (n / 12)
        tones = sine(seconds, low, 0.3, 1, rate) + sine(seconds, 3.01 * low, 0.2, 1, rate)
        source.write(
            f"{n:02d}.wav", encoded((tones + noise(seconds, 0.01, 1, rate, n)).astype(np.float32), "wav", rate)
        )
    audio = AudioPreparation(
        sample_rate=rate,
        channels=1,
        segment=Segmentation(min_seconds=1, max_seconds=2, overlap_seconds=0.1),
        trim_silence=False,
    )
    units = plan_units(sort_sources(source.list(), ["audio"]), audio, MidiPreparation())
    records = [prepare_unit(UnitTask(unit, source.url, cache.url, audio, MidiPreparation())) for unit in units]
    split = Split(keep_together=[])
    write_dataset(cache, "tones", Contents(units=records, rows=(), complaints=()), split)
    return f"{cache.url}/datasets/tones"
