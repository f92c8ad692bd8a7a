"""Preparing audio with two Ray workers against one, on the same files, in turn, with the workers warm.

Run ``python tests/scale/workers.py``. Prints one JSON object: minutes of music prepared a second of wall clock time
with one worker and with two, and their ratio. Starting Ray and loading libraries is measured apart: it is paid once.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from mtj_api.spec import AudioPreparation, MidiPreparation

sys.path.insert(0, str(Path(__file__).parents[1]))
from mtj_trainer.prepare.pool import WorkerPool
from mtj_trainer.prepare.process import UnitTask, prepare_unit
from mtj_trainer.prepare.units import plan_units, sort_sources
from mtj_trainer.storage import open_storage
from support import music_folder

FILES, SECONDS, ROUNDS = 16, 90, 3


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, WorkerPool(2) as pool:
        source, cache = open_storage(f"{folder}/in"), open_storage(f"{folder}/cache")
        for number in range(FILES):
            source.write(f"{number}.wav", music_folder.recording(SECONDS, rate=44_100, seed=number))
        audio, midi = AudioPreparation(), MidiPreparation(steps_per_beat=4)
        units = [unit for entry in source.list() for unit in plan_units(sort_sources([entry], ["audio"]), audio, midi)]
        tasks = [UnitTask(unit, source.url, cache.url, audio, midi) for unit in units]
        begin = time.perf_counter()
        list(pool.run_all(prepare_unit, tasks[:4]))
        warm_up = time.perf_counter() - begin
        rates: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(ROUNDS):
            for count in (1, 2):
                pool.count = count
                begin = time.perf_counter()
                list(pool.run_all(prepare_unit, tasks))
                rates[count].append(FILES * SECONDS / 60 / (time.perf_counter() - begin))
    one, two = (statistics.median(rates[count]) for count in (1, 2))
    print(
        json.dumps({"start_s": warm_up, "one_worker_min_s": one, "two_workers_min_s": two, "two_over_one": two / one})
    )


if __name__ == "__main__":
    main()
