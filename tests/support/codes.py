"""Codes of recordings: a tiny codec that makes real ones, and random ones where it does not matter what they say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mtj_api.spec import AudioPreparation
from mtj_trainer.prepare.codes.arrays import write_arrays
from mtj_trainer.prepare.codes.dataset import CodesInfo, sample_name
from mtj_trainer.prepare.codes.manifest import CodesContents, set_url, write_codes
from mtj_trainer.prepare.dataset import PreparedDataset
from mtj_trainer.prepare.split import SIDES
from mtj_trainer.storage import open_storage
from support import music_folder
from support.prepared import prepare_files

RATE = 8_000
INFO = CodesInfo(codebooks=2, codebook_size=16, hop=16, sample_rate=RATE, channels=1)
"""What ``tiny_codec`` makes."""

AUDIO = AudioPreparation.model_validate(
    {"sampleRate": RATE, "channels": 1, "segment": {"minSeconds": 1, "maxSeconds": 2, "overlapSeconds": 0}}
)


def recordings(count: int = 6, seconds: float = 4.0) -> dict[str, bytes]:
    """Random melodies by file name."""
    return {f"{n:02d}.wav": music_folder.recording(seconds, rate=RATE, channels=1, seed=n) for n in range(count)}


def random_codes(
    folder: Path,
    files: Mapping[str, bytes] | None = None,
    info: CodesInfo = INFO,
    texts: Mapping[str, npt.NDArray[np.float32]] | None = None,
    codec: str = "",
) -> str:
    """The URL of a data set of recordings, prepared in ``folder``, with random codes.

    Args:
        files: ``recordings()`` when left out; may have metadata.
        texts: states by caption.
        codec: URL of the codec that they are said to be of.
    """
    dataset = prepare_files(folder, recordings() if files is None else files, AUDIO)
    prepared = PreparedDataset.open(dataset, folder / "work")
    random = np.random.default_rng(0)
    codes = [
        (sample_name(sample), _random(random, info, sample.length))
        for side in SIDES
        for sample in prepared.samples("audio", side)
    ]
    cache = open_storage(str(folder / "cache"))
    stored = write_arrays(cache, "codes", codes)
    states = write_arrays(cache, "texts", (texts or {}).items())
    write_codes(cache, "test", CodesContents(dataset, codec, info, stored, states))
    return set_url(cache, "test")


def _random(random: np.random.Generator, info: CodesInfo, seconds: float) -> npt.NDArray[np.uint16]:
    frames = -(-round(seconds * info.sample_rate) // info.hop)
    return random.integers(0, info.codebook_size, (info.codebooks, frames), dtype=np.uint16)
