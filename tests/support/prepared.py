"""Small prepared data sets, made by the real steps of the prepare stage in this process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from symusic import Score

from mtj_api.spec import AudioPreparation, MidiPreparation, Split
from mtj_trainer.prepare.manifest import Contents, write_dataset
from mtj_trainer.prepare.process import UnitTask, prepare_unit
from mtj_trainer.prepare.units import plan_units, sort_sources
from mtj_trainer.storage import open_storage
from support.scores import chorale, midi_bytes


def chorales(count: int = 20) -> dict[str, Score]:
    """Pieces of different keys and lengths by file name."""
    return {f"{n:02d}.mid": chorale(bars=6 + n % 5, upbeat=n % 3 == 0, root=55 + n % 12) for n in range(count)}


def prepare_scores(folder: Path, scores: Mapping[str, Score], midi: MidiPreparation) -> str:
    """Write the scores as MIDI files, prepare them, and return the data set's URL."""
    source, cache = open_storage(str(folder / "music")), open_storage(str(folder / "cache"))
    for name, score in scores.items():
        source.write(name, midi_bytes(score))
    units = plan_units(sort_sources(source.list(), ["midi"]), AudioPreparation(), midi)
    tasks = [UnitTask(unit, source.url, cache.url, AudioPreparation(), midi) for unit in units]
    contents = Contents(units=[prepare_unit(task) for task in tasks], rows=(), complaints=())
    write_dataset(cache, "test", contents, Split(keep_together=[]))
    return f"{cache.url}/datasets/test"
