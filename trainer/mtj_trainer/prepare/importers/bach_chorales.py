"""``bach-chorales``: the four-part chorales of J. S. Bach in music21's corpus, as MIDI and, if asked for, as audio.

The corpus comes with music21 from its package; nothing is downloaded. A piece that is there twice is taken once.
Invariant: ``complete.json`` is written last and lists what is there with hashes of the content. MIDI is made first and
audio from it later, when it is first asked for; neither is made again for the same version of this importer.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import soundfile

from mtj_api import JobError
from mtj_api.spec.dataset import Modality
from mtj_trainer.prepare.importers import Collection, Imported
from mtj_trainer.prepare.importers.chorale import TEMPO, Chorale, read_chorale
from mtj_trainer.prepare.pool import WorkerPool
from mtj_trainer.progress import Progress
from mtj_trainer.render import render_midi
from mtj_trainer.storage import Entry, Storage, open_storage

FOLDER = "imports/bach-chorales"
VERSION = 2
"""Raise it with any change that changes a file: the collection is then made anew."""

CHUNK = 8
"""Pieces a task; a piece takes some ten milliseconds to read and some hundred to render."""

SAMPLE_RATE = 44_100

LICENCE = (
    "Music: public domain. Encodings: from the corpus of music21, distributed with permission of their encoders; "
    "read its corpus/license.txt before commercial use."
)


@dataclass(frozen=True)
class RenderTask:
    """MIDI files to render, by name without extension, in the storage at ``folder``."""

    folder: str
    stems: tuple[str, ...]


def import_bach_chorales(cache: Storage, modalities: Sequence[Modality], pool: WorkerPool) -> Imported:
    """See ``Importer``.

    Raises:
        JobError: music21 was installed without its corpus.
    """
    folder = cache.child(FOLDER)
    complete = _read_complete(folder)
    if "midi" not in complete:
        complete = {"version": VERSION, "midi": _import_midi(folder, pool)}
        _write_complete(folder, complete)
    if "audio" in modalities and "audio" not in complete:
        complete["audio"] = _render_all(folder, complete["midi"], pool)
        _write_complete(folder, complete)
    files = {**complete["midi"], **complete.get("audio", {})}
    wanted = (".jsonl", *({"midi": ".mid", "audio": ".flac"}[modality] for modality in modalities))
    entries = [Entry(key, file["size"], file["sha256"]) for key, file in files.items() if key.endswith(wanted)]
    return Imported(folder, tuple(sorted(entries, key=lambda entry: entry.key)))


def read_chorales(paths: tuple[Path, ...]) -> list[Chorale]:
    """What a worker does for MIDI: the chorales among some files."""
    return [chorale for path in paths if (chorale := read_chorale(path)) is not None]


def render_chorales(task: RenderTask) -> dict[str, dict[str, Any]]:
    """What a worker does for audio: render, store as FLAC, and say what is there now."""
    folder = open_storage(task.folder)
    files = {}
    for stem in task.stems:
        sound = render_midi(folder.read(f"{stem}.mid"), SAMPLE_RATE)
        content = io.BytesIO()
        soundfile.write(content, sound, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
        folder.write(f"{stem}.flac", content.getvalue())
        files[f"{stem}.flac"] = _file(content.getvalue())
    return files


def without_repeats(chorales: Iterable[Chorale]) -> list[Chorale]:
    """In the order of the catalogue, and of pieces with exactly the same notes the first."""
    kept: dict[Any, Chorale] = {}
    for chorale in sorted(chorales, key=lambda chorale: _catalogue_order(chorale.bwv)):
        kept.setdefault(chorale.voices, chorale)
    return list(kept.values())


def row(chorale: Chorale, title: str | None) -> dict[str, Any]:
    """A line of ``metadata.jsonl``.

    The work is the album, so that the movements of a cantata stay on one side of the split. There is no artist, since
    it would be the same for all, and all would be on one side.
    """
    return {
        "file_path": f"bwv{chorale.bwv}.mid",
        "title": f"{title} (BWV {chorale.bwv})" if title else f"Chorale BWV {chorale.bwv}",
        "composer": "J. S. Bach",
        "album": f"BWV {chorale.work}",
        "genre": ["baroque", "chorale"],
        "key": chorale.key,
        "metre": chorale.metres[0][1],
        "tempo": TEMPO,
        "programs": [chorale.program],
        "source": "music21 corpus: bach",
        "licence": LICENCE,
    }


def _import_midi(folder: Storage, pool: WorkerPool) -> dict[str, dict[str, Any]]:
    paths = _corpus()
    progress = Progress("prepare", len(paths))
    progress.say(f"reading {len(paths)} scores of music21's corpus")
    found: list[Chorale] = []
    done = 0
    for outcome in pool.run_all(read_chorales, _chunks(paths)):
        found.extend(outcome.result)
        done += len(outcome.item)
        progress.update(done, "scores read")
    chorales, titles = without_repeats(found), _titles()
    rows = [row(chorale, titles.get(chorale.bwv)) for chorale in chorales]
    contents = {f"bwv{chorale.bwv}.mid": chorale.to_midi() for chorale in chorales}
    contents["metadata.jsonl"] = "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows).encode()
    for key, content in contents.items():
        folder.write(key, content)
    return {key: _file(content) for key, content in contents.items()}


def _render_all(folder: Storage, midi: Iterable[str], pool: WorkerPool) -> dict[str, dict[str, Any]]:
    stems = [key.removesuffix(".mid") for key in midi if key.endswith(".mid")]
    progress = Progress("prepare", len(stems))
    progress.say(f"rendering {len(stems)} chorales to audio")
    files: dict[str, dict[str, Any]] = {}
    for outcome in pool.run_all(render_chorales, (RenderTask(folder.url, chunk) for chunk in _chunks(stems))):
        files |= outcome.result
        progress.update(len(files), "chorales rendered")
    return dict(sorted(files.items()))


def _corpus() -> list[Path]:
    """The MusicXML files of Bach's works. Three chorales are there in Humdrum too, with the same notes."""
    spec = importlib.util.find_spec("music21")
    places = [Path(place) / "corpus" / "bach" for place in (spec.submodule_search_locations or [])] if spec else []
    paths = sorted(path for place in places if place.is_dir() for path in place.iterdir())
    paths = [path for path in paths if path.suffix in (".mxl", ".xml")]
    if not paths:
        raise JobError(
            "music21 is installed without its corpus",
            where="spec.dataset.importer",
            instead="install music21 from its own package",
        )
    return paths


def _titles() -> dict[str, str]:
    """The first lines of the hymns by BWV number, as the usual edition (Riemenschneider's) has them."""
    from music21.corpus import chorales  # a second to import, and needed once

    listed = chorales.ChoraleListRKBWV().byBWV
    return {str(bwv): str(entry["title"]) for bwv, entry in listed.items()}


def _catalogue_order(bwv: str) -> tuple[int, int, str]:
    numbers = [int(number) for number in re.findall(r"\d+", bwv)]
    return numbers[0], numbers[1] if len(numbers) > 1 else 0, bwv


def _chunks(items: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    for start in range(0, len(items), CHUNK):
        yield tuple(items[start : start + CHUNK])


def _file(content: bytes) -> dict[str, Any]:
    return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _read_complete(folder: Storage) -> dict[str, Any]:
    try:
        complete: dict[str, Any] = json.loads(folder.read("complete.json"))
    except FileNotFoundError:
        return {}
    return complete if complete["version"] == VERSION else {}


def _write_complete(folder: Storage, complete: dict[str, Any]) -> None:
    folder.write("complete.json", json.dumps(complete, indent=1).encode())


COLLECTION = Collection(pieces=364, hours=3.422, fetch=import_bach_chorales)
