"""Small prepared data sets, made by the real steps of the prepare stage in this process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from symusic import Score

from mtj_api.spec import AudioPreparation, MidiPreparation, Split
from mtj_trainer.prepare.manifest import Contents, write_dataset
from mtj_trainer.prepare.metadata import read_rows
from mtj_trainer.prepare.process import UnitTask, prepare_unit
from mtj_trainer.prepare.units import plan_units, sort_sources
from mtj_trainer.storage import open_storage
from support.scores import chorale, midi_bytes

MIDI = MidiPreparation(steps_per_beat=4)


def chorales(count: int = 20) -> dict[str, Score]:
    """Pieces of different keys and lengths by file name."""
    return {f"{n:02d}.mid": chorale(bars=6 + n % 5, upbeat=n % 3 == 0, root=55 + n % 12) for n in range(count)}


def prepare_scores(folder: Path, scores: Mapping[str, Score], midi: MidiPreparation) -> str:
    """Write the scores as MIDI files, prepare them, and return the data set's URL."""
    files = {name: midi_bytes(score) for name, score in scores.items()}
    return prepare_files(folder, files, AudioPreparation(), midi)


def prepare_files(
    folder: Path, files: Mapping[str, bytes], audio: AudioPreparation, midi: MidiPreparation = MIDI, name: str = "test"
) -> str:
    """Write files to ``folder/music``, prepare all that is there, and return the data set's URL in ``folder/cache``."""
    source, cache = open_storage(str(folder / "music")), open_storage(str(folder / "cache"))
    for key, content in files.items():
        source.write(key, content)
    sources = sort_sources(source.list(), ["audio", "midi"])
    tasks = [UnitTask(unit, source.url, cache.url, audio, midi) for unit in plan_units(sources, audio, midi)]
    rows, complaints = read_rows(source.read, sources.metadata)
    contents = Contents(units=[prepare_unit(task) for task in tasks], rows=rows, complaints=complaints)
    write_dataset(cache, name, contents, Split(keep_together=[]))
    return f"{cache.url}/datasets/{name}"
