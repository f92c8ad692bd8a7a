"""Encoding recordings with two Ray workers against one, on the same segments, in turn, with the workers warm.

Run ``python tests/scale/codes.py``. Prints one JSON object: minutes of music encoded a second of wall clock time with
one worker and with two, and their ratio, with the codec that a job has by default.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from mtj_api.spec import AudioPreparation, CodecArchitecture

sys.path.insert(0, str(Path(__file__).parents[1]))
from mtj_trainer.prepare.codes.chunks import AudioChunk
from mtj_trainer.prepare.codes.encode import ChunkTask, encode_chunk
from mtj_trainer.prepare.dataset import PreparedDataset
from mtj_trainer.prepare.pool import WorkerPool
from mtj_trainer.prepare.split import SIDES
from mtj_trainer.storage import open_storage
from support import music_folder
from support.prepared import prepare_files

FILES, SECONDS, ROUNDS, RATE = 8, 20, 3, 16_000


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, WorkerPool(2) as pool:
        tasks = _tasks(Path(folder))
        begin = time.perf_counter()
        list(pool.run_all(encode_chunk, tasks[:4]))
        warm_up = time.perf_counter() - begin
        minutes = sum(task.chunk.seconds for task in tasks) / 60
        rates: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(ROUNDS):
            for count in (1, 2):
                pool.count = count
                begin = time.perf_counter()
                list(pool.run_all(encode_chunk, tasks))
                rates[count].append(minutes / (time.perf_counter() - begin))
    one, two = (statistics.median(rates[count]) for count in (1, 2))
    print(
        json.dumps({"start_s": warm_up, "one_worker_min_s": one, "two_workers_min_s": two, "two_over_one": two / one})
    )


def _tasks(folder: Path) -> list[ChunkTask]:
    """A task for each segment, so that no worker is left alone for long at the end."""
    _codec(folder / "codec")
    files = {f"{n}.wav": music_folder.recording(SECONDS, rate=RATE, channels=1, seed=n) for n in range(FILES)}
    audio = AudioPreparation.model_validate({"sampleRate": RATE, "channels": 1})
    dataset = PreparedDataset.open(prepare_files(folder, files, audio), folder / "work")
    cache, codec = open_storage(str(folder / "cache")), str(folder / "codec")
    samples = [sample for side in SIDES for sample in dataset.samples("audio", side)]
    chunks = [AudioChunk(f"bench-{number}", (sample,)) for number, sample in enumerate(samples)]
    return [ChunkTask(chunk, cache.url, cache.url, codec, channels=1) for chunk in chunks]


def _codec(folder: Path) -> None:
    from transformers import DacConfig, DacModel

    sizes = CodecArchitecture()
    config = DacConfig(
        sampling_rate=RATE,
        encoder_hidden_size=sizes.encoder_width,
        downsampling_ratios=sizes.strides,
        upsampling_ratios=sizes.strides[::-1],
        decoder_hidden_size=sizes.decoder_width,
        n_codebooks=sizes.codebooks,
        codebook_size=sizes.codebook_size,
        codebook_dim=sizes.codebook_dim,
    )
    DacModel(config).save_pretrained(folder)


if __name__ == "__main__":
    main()
