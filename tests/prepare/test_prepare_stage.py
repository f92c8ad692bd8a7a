"""The prepare stage as a process on a real folder: nothing is fatal, nothing silent, and nothing is done twice."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import soundfile

from mtj_api import JobError, parse_job, resolved_json
from mtj_api.contract import ExitCode
from mtj_trainer.prepare.dataset import PreparedDataset
from mtj_trainer.prepare.driver import prepare
from support import music_folder
from support.pools import HerePool

pytestmark = pytest.mark.slow

SLOWLY = '{"audio": {"features": ["mel", "mfcc", "chroma", "spectralContrast", "tempo", "key"]}}'
"""Settings with which a file takes so long that a signal comes while others wait."""


class Stage:
    """Runs the stage on ``source``, with its output in ``folder``."""

    def __init__(self, folder: Path, source: str, settings: str = "") -> None:
        self.folder = folder
        self.output = folder / "out"
        self.output_url = str(self.output)
        self._job = folder / "job.json"
        self.write_job(source, settings)

    def write_job(self, source: str, settings: str = "", output: str | None = None) -> None:
        self.output_url = output or str(self.output)
        text = json.dumps(
            {
                "apiVersion": "training.discomusica.io/v1alpha1",
                "kind": "MusicTrainingJob",
                "metadata": {"name": "test"},
                "spec": {"dataset": {"source": source, **json.loads(settings or "{}")}, "output": self.output_url},
            }
        )
        self.folder.mkdir(parents=True, exist_ok=True)
        self.job = parse_job(text).job
        self._job.write_text(resolved_json(self.job))

    def start(self, **environment: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "mtj_trainer.prepare", "--job", str(self._job)]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **environment}
        )

    def run(self, code: int = 0, **environment: str) -> str:
        with self.start(**environment) as process:
            output, _ = process.communicate()
        assert process.returncode == code, output
        return output

    @property
    def record(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.output / "stages/prepare.json").read_text())
        return found

    @property
    def figures(self) -> dict[str, float]:
        found: dict[str, float] = self.record["figures"]
        return found

    @property
    def dataset(self) -> PreparedDataset:
        return PreparedDataset.open(self.record["dataset"], self.folder / "work")


def takes() -> dict[str, bytes]:
    """Recordings in five units, of which two are in work at a time, and the first is done long before the largest."""
    return {f"take-{n}.wav": music_folder.recording(14, seed=n) for n in range(12)}


def contents(folder: Path) -> dict[str, str]:
    """Every file's hash and time of change."""
    return {
        str(path.relative_to(folder)): f"{hashlib.sha256(path.read_bytes()).hexdigest()} {path.stat().st_mtime_ns}"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """A folder of good, bad and other files, prepared once."""
    folder = tmp_path_factory.mktemp("stage")
    stage = Stage(folder, str(music_folder.mixed(folder / "my music")))
    stage.run()
    return stage


def test_each_bad_file_is_counted_under_its_reason(mixed: Stage) -> None:
    listed = {item["file"]: item["reason"] for item in mixed.dataset.manifest["quarantined"]}
    assert listed == {file: reason for file, (reason, _) in music_folder.BAD.items()}
    for reason, count in Counter(listed.values()).items():
        assert mixed.figures[f"prepare.quarantined.{reason}"] == count
    assert mixed.figures["prepare.quarantined"] == len(music_folder.BAD)
    assert all(item["detail"] for item in mixed.dataset.manifest["quarantined"])


def test_each_good_file_is_a_track_with_samples(mixed: Stage) -> None:
    dataset = mixed.dataset
    assert {file for track in dataset.tracks.values() for file in track.files} == set(music_folder.GOOD)
    with_samples = {
        sample.track
        for kind in ("audio", "midi")
        for side in ("train", "validation", "test")
        for sample in dataset.samples(kind, side)
    }
    assert with_samples == set(dataset.tracks)
    assert mixed.figures["prepare.files"] == len(music_folder.GOOD) + len(music_folder.BAD)
    assert mixed.figures["prepare.skipped"] == len(music_folder.OTHER)


def test_tracks_follow_the_guides_schema(mixed: Stage) -> None:
    track = mixed.dataset.tracks["Ünïcödé, très drôle/L'été/04 naïve (live)"]
    assert (track.artist, track.album) == ("Ünïcödé, très drôle", "L'été")
    assert (track.sample_rate, track.channels) == (22_050, 2)
    assert track.duration == pytest.approx(12, abs=0.1)
    six = mixed.dataset.tracks["six channels at 192 kHz"]
    assert (six.sample_rate, six.channels, six.duration) == (192_000, 6, 12.0)
    paired = mixed.dataset.tracks["Bo/Only/03"]
    assert paired.file_path == "Bo/Only/03.ogg"
    assert paired.files == ("Bo/Only/03.mid", "Bo/Only/03.ogg")
    assert (paired.metre, paired.tempo, paired.programs) == ("4/4", 100.0, (19,))
    assert paired.instruments == ("Church Organ",)


def test_samples_are_read_from_their_place(mixed: Stage, tmp_path: Path) -> None:
    dataset = mixed.dataset
    for side in ("train", "validation", "test"):
        for sample in dataset.samples("audio", side):
            path = tmp_path / "segment.flac"
            path.write_bytes(dataset.read(sample))
            info = soundfile.info(path)
            assert (info.samplerate, info.channels, info.format) == (44_100, 2, "FLAC")
            assert info.duration == pytest.approx(sample.length, abs=0.001)
        for sample in dataset.samples("midi", side):
            assert dataset.read(sample).startswith(b"\x93NUMPY")


def test_the_parts_of_a_pair_are_on_one_side(mixed: Stage) -> None:
    dataset = mixed.dataset
    sides = {
        s.split
        for kind in ("audio", "midi")
        for side in ("train", "validation", "test")
        for s in dataset.samples(kind, side)
        if s.track == "Bo/Only/03"
    }
    assert len(sides) == 1
    assert dataset.tracks["Ann/First/01 one"].split == dataset.tracks["Ann/First/02 two"].split


def test_a_rerun_changes_nothing_and_starts_no_workers(mixed: Stage) -> None:
    before = contents(mixed.output)
    job = before.pop("job.json")
    output = mixed.run(RAY_ADDRESS="127.0.0.1:1")  # whoever starts Ray now fails
    after = contents(mixed.output)
    assert after.pop("job.json").split()[0] == job.split()[0]
    assert after == before
    assert f"{len(music_folder.BAD)} files left out" in output


def test_one_more_file_redoes_one_unit_and_another_split_none(tmp_path: Path) -> None:
    source = music_folder.write(tmp_path / "in", {f"{n}.mid": music_folder.midi(seed=n) for n in range(40)})
    stage = Stage(tmp_path, str(source))
    stage.run()
    first = stage.record
    music_folder.write(source, {"new.mid": music_folder.midi(seed=99)})
    stage.run()
    assert stage.figures["prepare.units.made"] <= 2
    assert stage.figures["prepare.units.reused"] >= first["figures"]["prepare.units.made"] - 1
    assert stage.figures["prepare.tracks"] == 41
    assert stage.record["dataset"] != first["dataset"]

    stage.write_job(str(source), '{"split": {"seed": 1}}')
    stage.run(RAY_ADDRESS="127.0.0.1:1")
    assert stage.figures["prepare.units.made"] == 0

    (source / "new.mid").unlink()
    stage.write_job(str(source))
    stage.run(RAY_ADDRESS="127.0.0.1:1")
    assert stage.record["dataset"] == first["dataset"]


def test_a_run_that_was_killed_ends_as_one_that_was_not(tmp_path: Path) -> None:
    rows = b"file_path,artist\ntake-0.wav,Ann\ntake-1.wav,Ann\nnone.wav,X\n"
    files = {**takes(), "bad.wav": b"", "metadata.csv": rows}
    source = music_folder.write(tmp_path / "in", files)
    whole = Stage(tmp_path / "whole", str(source), SLOWLY)
    whole.run()

    killed = Stage(tmp_path / "killed", str(source), SLOWLY)
    with killed.start() as process:
        units = killed.output / "data/units"
        while not list(units.glob("*.json")):
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    assert not list(killed.output.glob("data/datasets/*/manifest.json"))
    killed.run()
    assert killed.figures["prepare.units.reused"] > 0
    assert killed.figures["prepare.units.made"] > 0
    assert killed.record["dataset"].rpartition("/")[2] == whole.record["dataset"].rpartition("/")[2]
    for name in ("manifest.json", "tracks.jsonl", "samples.jsonl"):
        (one,) = whole.output.glob(f"data/datasets/*/{name}")
        (other,) = killed.output.glob(f"data/datasets/*/{name}")
        assert one.read_bytes() == other.read_bytes()
    assert whole.figures["prepare.metadata.unmatched"] == 1
    assert whole.record["warnings"] == ["metadata.csv:4: no music file matches 'none.wav'"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("when", ["while Ray starts", "while it works"])
def test_a_signal_stops_it_cleanly(tmp_path: Path, number: signal.Signals, when: str) -> None:
    stage = Stage(tmp_path, str(music_folder.write(tmp_path / "in", takes())), SLOWLY)
    with stage.start() as process:
        assert process.stdout is not None
        process.stdout.readline()  # "prepare   12 files in ..."
        if when == "while it works":
            while not list(stage.output.glob("data/units/*.json")):
                time.sleep(0.01)
        else:
            time.sleep(1.0)
        process.send_signal(number)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == ExitCode.INTERRUPTED, output
    assert "Traceback" not in output
    assert not list(Path("/tmp").glob(f"mtj-ray-{process.pid}-*"))


@pytest.mark.parametrize(
    ("files", "settings", "sentence"),
    [
        ({}, "", "there is nothing at"),
        ({"x.txt": b"", "y.pdf": b""}, "", "there is no audio (wav, flac, ogg, mp3) or MIDI at"),
        ({"x.mid": music_folder.midi()}, '{"modalities": ["audio"]}', "say spec.dataset.modalities"),
        (
            {f"Ann/A/{n}.mid": music_folder.midi(seed=n) for n in range(4)},
            "",
            "spec.dataset.split.keepTogether: all 4 tracks hang together by artist and album in 1 group",
        ),
    ],
    ids=["nothing", "other files", "other modality", "one artist"],
)
def test_a_job_that_cannot_work_ends_with_a_sentence(
    tmp_path: Path, files: dict[str, bytes], settings: str, sentence: str
) -> None:
    (tmp_path / "in").mkdir()
    stage = Stage(tmp_path, str(music_folder.write(tmp_path / "in", files)), settings)
    log = tmp_path / "log"
    stage.run(ExitCode.WRONG_JOB, MTJ_TERMINATION_LOG=str(log))
    assert sentence in log.read_text()
    assert "\n" not in log.read_text()


@pytest.mark.parametrize(
    ("files", "settings", "sentence"),
    [
        (
            {"x.wav": b"", "y.mid": b"", "z.wav": b"text, really" * 99},
            "",
            "none of 3 files can be used (2 empty-file, 1 not-audio)",
        ),
        ({"x.mid": music_folder.midi(), "y.mid": music_folder.midi()}, "", "give a source with at least 3 tracks"),
        (
            {f"{n}.mid": music_folder.midi(seed=n) for n in range(4)},
            '{"split": {"keepTogether": ["performer"]}}',
            "no track has the metadata field 'performer'",
        ),
    ],
    ids=["all bad", "two tracks", "unknown field"],
)
def test_what_workers_find_wrong_is_said_in_a_sentence(
    tmp_path: Path, files: dict[str, bytes], settings: str, sentence: str
) -> None:
    stage = Stage(tmp_path, str(music_folder.write(tmp_path / "in", files)), settings)
    with pytest.raises(JobError) as refused:
        prepare(stage.job, HerePool())
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_source_cache_and_output_on_s3(tmp_path: Path, s3_url: str) -> None:
    from mtj_trainer.storage import open_storage

    source = open_storage(f"{s3_url}/my music")
    for n in range(20):
        source.write(f"Ä {n}/x.mid", music_folder.midi(seed=n))
    stage = Stage(tmp_path, "unused")
    stage.write_job(f"{s3_url}/my music", output=f"{s3_url}/out")
    stage.run()
    record = json.loads(open_storage(f"{s3_url}/out").read("stages/prepare.json"))
    assert record["figures"]["prepare.tracks"] == 20
    dataset = PreparedDataset.open(record["dataset"], tmp_path / "work")
    for sample in dataset.samples("midi", "train"):
        assert len(dataset.read(sample)) == sample.size
    stage.run(RAY_ADDRESS="127.0.0.1:1")
