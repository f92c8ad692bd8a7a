"""The survey: how much music there is, before anything is prepared."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtj_api import MusicTrainingJob, parse_job
from mtj_trainer.prepare.survey import measure, recording_seconds, survey
from mtj_trainer.storage import open_storage
from support import music_folder
from support.jobs import text


def job(**dataset: object) -> MusicTrainingJob:
    return parse_job(text(dataset=dataset)).job


def test_a_source_is_measured_by_its_headers(tmp_path: Path) -> None:
    files = {
        "Ann/One/x.wav": music_folder.recording(30),
        "Ann/One/x.mid": music_folder.midi(bars=8),
        "y.ogg": music_folder.recording(6, "ogg"),
        "text.wav": b"not a recording",
        "broken.mid": b"MThd",
        "cover.jpg": b"",
        "metadata.csv": b"file_path,year\ny.ogg,1999\n",
    }
    found = survey(job(source=str(music_folder.write(tmp_path, files))))
    assert found == {
        "files": 5,
        "tracks": 4,
        "skipped": 1,
        "audio_hours": pytest.approx(36 / 3600, abs=1e-4),
        "midi_hours": pytest.approx(8 * 4 * 0.6 / 3600, abs=1e-4),
        "estimated": False,
        "fields": {"album": 1, "artist": 1, "year": 1},
    }


def test_a_large_source_is_estimated_from_a_part(tmp_path: Path) -> None:
    one = music_folder.recording(2)
    storage = open_storage(str(music_folder.write(tmp_path, {f"{n}.wav": one for n in range(500)})))
    seconds, complete = measure(storage, tuple(storage.list()), recording_seconds)
    assert not complete
    assert seconds == pytest.approx(1000, rel=0.01)


def test_nothing_has_no_hours(tmp_path: Path) -> None:
    found = survey(job(source=str(tmp_path)))
    assert (found["files"], found["audio_hours"], found["estimated"]) == (0, 0.0, False)


def test_a_collection_is_known_without_importing_it() -> None:
    found = survey(job(importer="bach-chorales"))
    assert (found["tracks"], found["files"], found["midi_hours"]) == (364, 728, 3.422)
