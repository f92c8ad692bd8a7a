"""Files that were made to do harm are left out with a reason, in bounded time and memory, and harm no other file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from mtj_trainer.prepare.bounds import LARGEST_BYTES, processor_time
from mtj_trainer.prepare.process import UnitTask, prepare_unit
from mtj_trainer.prepare.units import Unit, sort_sources
from mtj_trainer.storage import open_storage
from support import tried_files
from support.hostile_music import HOSTILE_AUDIO, HOSTILE_MIDI, damaged
from support.music_folder import midi, write

FILES = int(os.environ.get("MTJ_FUZZ", "300"))
SEED = int(os.environ.get("MTJ_FUZZ_SEED", "1"))

OUR_FAULT = {"internal-error"}
"""The reason of a file that is left out because nobody foresaw it."""


def tried(files: Mapping[str, bytes], folder: Path) -> dict[str, list[dict[str, Any]]]:
    """What became of each file in a process that the kernel ends where it takes too much; ``left_out`` by name."""
    write(folder, dict(files))
    command = [sys.executable, "-m", "support.tried_files", str(folder)]
    seconds = str(len(files) + tried_files.CPU_SECONDS)
    done = subprocess.run([*command, seconds], capture_output=True, text=True, env=_environment(), check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"{lines[-1:]}: {done.returncode} {done.stderr[-2000:]}"
    return {line["file"]: line["left_out"] for line in lines if "left_out" in line}


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OPENBLAS_NUM_THREADS": "1"}


def _made(table: Mapping[str, Callable[[], bytes]], extension: str) -> dict[str, bytes]:
    return {f"{name.replace('/', ' to ')}.{extension}": make() for name, make in table.items()}


def test_files_made_to_do_harm_are_read_or_left_out_with_a_reason(tmp_path: Path) -> None:
    files = _made(HOSTILE_MIDI, "mid") | _made(HOSTILE_AUDIO, "wav")
    outcomes = tried(files, tmp_path)
    assert set(outcomes) == set(files)
    reasons = {name: one["reason"] for name, left_out in outcomes.items() for one in left_out}
    assert not {name for name, reason in reasons.items() if reason in OUR_FAULT}, outcomes
    assert reasons["a note after fifty years of bars.mid"] == "too-long"
    assert reasons["times beyond 32 bits.mid"] == "too-long"
    assert reasons["six hours in 600 KB.wav"] == "too-long"
    assert reasons["two weeks in a header.wav"] == "too-long"


def test_random_damage_never_ends_a_worker(tmp_path: Path) -> None:
    """``make fuzz`` tries many more; ``MTJ_FUZZ_SEED`` gives others."""
    outcomes = tried(dict(damaged(FILES, SEED)), tmp_path)
    assert len(outcomes) == FILES
    unforeseen = [one for left_out in outcomes.values() for one in left_out if one["reason"] in OUR_FAULT]
    assert not unforeseen, unforeseen
    assert any(outcomes.values())
    assert not all(outcomes.values())


@pytest.mark.parametrize(("name", "modality"), [("large.wav", "audio"), ("large.mid", "midi")])
def test_a_file_that_is_too_large_is_not_even_read(tmp_path: Path, name: str, modality: Any) -> None:
    with (tmp_path / name).open("wb") as file:
        file.truncate(LARGEST_BYTES[modality] + 1)  # no block of it is on the disk
    (tmp_path / "good.mid").write_bytes(midi())
    storage = open_storage(str(tmp_path))
    sources = sort_sources(storage.list(), ["audio", "midi"])
    (entry,) = (entry for entry in (*sources.audio, *sources.midi) if entry.key == name)
    unit = Unit("0", modality, (entry,))
    task = UnitTask(unit, storage.url, str(tmp_path / "cache"), tried_files.AUDIO, tried_files.MIDI)
    (left_out,) = prepare_unit(task).quarantined
    assert left_out.reason == "too-large"


ENDLESS = """
from mtj_trainer.prepare.bounds import processor_time
with processor_time(0.05):
    while True: pass
"""


def test_a_decoder_that_never_ends_ends_its_worker(tmp_path: Path) -> None:
    """Which is then found and left out as ``ends-worker``."""
    done = subprocess.run([sys.executable, "-c", ENDLESS], env=_environment(), check=False)
    assert done.returncode == -27  # SIGPROF


def test_the_time_of_one_file_is_not_that_of_the_next() -> None:
    with processor_time(0.02):
        pass
    for _ in range(100_000):
        pass
