"""Prepared data as training reads it: here, elsewhere, and in other processes."""

from __future__ import annotations

import io
import json
import pickle
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from mtj_api import JobError
from mtj_api.spec import AudioPreparation, MidiPreparation, Split
from mtj_trainer.prepare import process
from mtj_trainer.prepare.dataset import PreparedDataset, Sample, Track
from mtj_trainer.prepare.driver import without_killers
from mtj_trainer.prepare.manifest import Contents, dataset_hash, figures, write_dataset
from mtj_trainer.prepare.metadata import read_rows
from mtj_trainer.prepare.pool import Done, Lost, WorkerPool
from mtj_trainer.prepare.process import UnitTask, prepare_unit
from mtj_trainer.prepare.records import UnitRecord
from mtj_trainer.prepare.units import Unit, plan_units, sort_sources
from mtj_trainer.storage import open_storage
from support import music_folder

AUDIO = AudioPreparation(sample_rate=16_000, channels=1, features=["mel", "loudness"])
MIDI = MidiPreparation(steps_per_beat=4)


def prepared(source_url: str, cache_url: str, files: dict[str, bytes]) -> str:
    """The URL of a data set of these files, made by the real steps in this process."""
    source, cache = open_storage(source_url), open_storage(cache_url)
    for name, content in files.items():
        source.write(name, content)
    sources = sort_sources(source.list(), ["audio", "midi"])
    units = plan_units(sources, AUDIO, MIDI)
    records = [prepare_unit(UnitTask(unit, source_url, cache_url, AUDIO, MIDI)) for unit in units]
    assert [UnitRecord.from_json(cache.read(f"units/{unit.hash}.json")) for unit in units] == records
    metadata = [(entry.key, source.read(entry.key)) for entry in sources.metadata]
    rows, complaints = read_rows(dict(metadata).__getitem__, sources.metadata)
    name = dataset_hash(units, metadata, Split())
    write_dataset(cache, name, Contents(records, rows, complaints), Split())
    return f"{cache_url}/datasets/{name}"


def pieces(count: int) -> dict[str, bytes]:
    return {f"{number}.mid": music_folder.midi(seed=number) for number in range(count)}


@pytest.fixture(params=["folder", "s3"])
def cache_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(request.getfixturevalue("s3_url")) if request.param == "s3" else str(tmp_path / "cache")


def test_samples_read_the_same_wherever_they_lie(tmp_path: Path, cache_url: str) -> None:
    url = prepared(str(tmp_path / "in"), cache_url, pieces(10))
    dataset = PreparedDataset.open(url, tmp_path / "work")
    samples = [sample for side in ("train", "validation", "test") for sample in dataset.samples("midi", side)]
    assert [len(dataset.samples("midi", side)) for side in ("train", "validation", "test")] == [8, 1, 1]
    assert {sample.track for sample in samples} == set(dataset.tracks)
    for sample in samples:
        tokens = np.load(io.BytesIO(dataset.read(sample)))
        assert (tokens.dtype, len(tokens)) == (np.uint16, sample.length)
    again = pickle.loads(pickle.dumps(dataset))
    assert [again.read(sample) for sample in samples] == [dataset.read(sample) for sample in samples]


def test_units_from_elsewhere_are_fetched_once(tmp_path: Path, s3_url: str) -> None:
    dataset = PreparedDataset.open(prepared(str(tmp_path / "in"), s3_url, pieces(4)), tmp_path / "work")
    sample = dataset.samples("midi", "train")[0]
    content = dataset.read(sample)
    open_storage(s3_url).delete(f"units/{sample.unit}.tar")
    other_process = PreparedDataset.open(f"{s3_url}/datasets/{dataset.manifest['hash']}", tmp_path / "work")
    assert other_process.read(sample) == content


def test_segments_come_with_the_features_that_were_asked_for(tmp_path: Path) -> None:
    files = {f"{n}.wav": music_folder.recording(11, seed=n) for n in range(3)}
    dataset = PreparedDataset.open(prepared(str(tmp_path / "in"), str(tmp_path / "cache"), files), tmp_path)
    sample = dataset.samples("audio", "train")[0]
    features = dataset.read_features(sample)
    assert sorted(features) == ["loudness", "mel"]
    assert features["mel"].shape[0] == 128
    assert dataset.tracks[sample.track].features["loudness"] == pytest.approx(float(features["loudness"]), abs=1e-3)


def test_rows_describe_tracks_and_unknown_fields_are_kept(tmp_path: Path) -> None:
    rows = [
        {"file_path": "0.mid", "title": "A line\u2028and another", "mood": ["calm"], "performer": "Ann", "key": "Bm"}
    ]
    files = {**pieces(3), "metadata.jsonl": "\n".join(map(json.dumps, rows)).encode()}
    url = prepared(str(tmp_path / "in"), str(tmp_path / "cache"), files)
    track = PreparedDataset.open(url, tmp_path).tracks["0"]
    assert (track.title, track.mood, track.extra, track.key) == (
        "A line\u2028and another",
        ("calm",),
        {"performer": "Ann"},
        "Bmin",
    )


def test_figures_add_up(tmp_path: Path) -> None:
    files = {**pieces(5), "broken.mid": b"MThd", "x.wav": b""}
    dataset = PreparedDataset.open(prepared(str(tmp_path / "in"), str(tmp_path / "cache"), files), tmp_path)
    numbers = figures(dataset.manifest)
    samples = [sample for side in ("train", "validation", "test") for sample in dataset.samples("midi", side)]
    assert numbers["prepare.files"] == 7
    assert numbers["prepare.tracks"] == numbers["prepare.samples"] == 5
    assert numbers["prepare.tokens"] == sum(sample.length for sample in samples)
    assert numbers["prepare.hours.midi"] == pytest.approx(5 * 8 * 4 * 0.6 / 3600, abs=1e-4)
    assert numbers["prepare.quarantined.broken-midi"] == numbers["prepare.quarantined.empty-file"] == 1


def test_a_file_that_ended_its_worker_is_set_aside(tmp_path: Path) -> None:
    source, cache = open_storage(str(tmp_path / "in")), open_storage(str(tmp_path / "cache"))
    for name, content in pieces(2).items():
        source.write(name, content)
    (unit, *_) = plan_units(sort_sources(source.list(), ["midi"]), AUDIO, MIDI)
    task = UnitTask(unit, source.url, cache.url, AUDIO, MIDI, killers={unit.entries[0].key: "SIGSEGV"})
    (left_out,) = prepare_unit(task).quarantined
    assert (left_out.file, left_out.reason) == (unit.entries[0].key, "ends-worker")
    assert "SIGSEGV" in left_out.detail


def test_a_fault_of_ours_is_not_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, cache = open_storage(f"{tmp_path}/music"), open_storage(f"{tmp_path}/cache")
    source.write("fine.mid", music_folder.GOOD["alone.mid"]())
    (unit,) = plan_units(sort_sources(source.list(), ["midi"]), AUDIO, MIDI)
    task = UnitTask(unit, source.url, cache.url, AUDIO, MIDI)
    with monkeypatch.context() as patched:
        patched.setattr(process, "_piece", Mock(side_effect=OSError("no space left")))
        assert [one.reason for one in prepare_unit(task).quarantined] == ["internal-error"]
    assert not cache.exists(f"units/{unit.hash}.json")
    assert prepare_unit(task).quarantined == ()
    assert cache.exists(f"units/{unit.hash}.json")


@pytest.mark.parametrize("missing", ["manifest.json", "samples.jsonl"])
def test_a_data_set_that_is_not_complete_does_not_open(tmp_path: Path, missing: str) -> None:
    url = prepared(str(tmp_path / "in"), str(tmp_path / "cache"), pieces(3))
    (Path(url) / missing).unlink()
    with pytest.raises(JobError, match="run the prepare stage"):
        PreparedDataset.open(url, tmp_path)


def test_lines_are_read_as_they_were_written() -> None:
    track = Track("a/é", "a/é.wav", ("a/é.wav",), "test", 3.5, genre=("x",), programs=(19, 128), extra={"k": "v"})
    sample = Sample("midi", "h", "m", 512, 7, 9.0, "a/é", "train")
    assert Track.from_json(track.to_json()) == track
    assert Sample.from_json(sample.to_json()) == sample


class DyingPool(WorkerPool):
    """A pool in this process whose workers die of a file, as Ray reports that."""

    def run(self, function, items):  # type: ignore[no-untyped-def]
        for item in items:
            dies = any(entry.key == "deadly.mid" for entry in item.unit.entries) and not item.killers
            yield Lost(item, "SIGSEGV") if dies else Done(item, function(item))


def test_the_file_that_ends_workers_is_found_by_trial(tmp_path: Path) -> None:
    source, cache = open_storage(str(tmp_path / "in")), open_storage(str(tmp_path / "cache"))
    for name, content in {**pieces(4), "deadly.mid": music_folder.midi()}.items():
        source.write(name, content)
    entries = tuple(source.list())
    unit = Unit("name", "midi", entries)
    record = without_killers(UnitTask(unit, source.url, cache.url, AUDIO, MIDI), DyingPool(1))
    assert [file.file for file in record.files] == ["0.mid", "1.mid", "2.mid", "3.mid"]
    assert [(q.file, q.reason) for q in record.quarantined] == [("deadly.mid", "ends-worker")]
    assert [entry.key for entry in cache.list("units")] == ["units/name.json", "units/name.tar"]
