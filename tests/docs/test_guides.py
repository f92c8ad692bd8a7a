"""Each guide is carried out as it stands: its files are written and its commands run, in a folder of their own.

Blocks are marked in their first line: ``yaml file=job.yaml`` is written to that file, ``bash run`` is run, and
``bash run slow`` is run where there is time. ``bash cluster=NAME`` is run by the tests of the cluster, and
``yaml values`` are rendered by those of the chart. Training is made small by settings that the command gets besides,
and where one guide goes on from the model of another, it gets the one that was made by that. The guide to models of
sound is carried out by ``tests/wholejob/test_sound.py``, which looks at all that it leaves.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from mtj_api import parse_job
from mtj_trainer.storage import Storage, open_storage
from support.guides import GUIDES, Follower, Settings, blocks, named
from support.scores import chorale, midi_bytes
from support.seaweedfs import S3Server
from support.sounds import encoded, phrases

FIRST_JOB, FINE_TUNING, SOUND = named("first-job"), named("finetune"), named("sound")

by_guide = pytest.mark.parametrize("guide", GUIDES, ids=[guide.stem for guide in GUIDES])

SMALL_TRAINING: dict[str, object] = {
    "spec.training.steps": 4,
    "spec.training.batch.size": 2,
    "spec.evaluation.continuations": 1,
    "spec.evaluation.requests": "[{bars: 1}]",
    "spec.evaluation.render": "none",
    "spec.monitoring.metricsPort": 0,
}
SMALL_MODEL: dict[str, object] = {"spec.model.architecture": "{layers: 1, width: 32, heads: 2, context: 64}"}
SMALL: dict[str, Settings] = {
    "first-job": {"job": SMALL_TRAINING | SMALL_MODEL},
    "your-own-midi": {"job": SMALL_TRAINING | SMALL_MODEL},
    "s3-storage": {"job": SMALL_TRAINING | SMALL_MODEL},
    "finetune": {"job": SMALL_TRAINING},
    "chain": {"base": SMALL_TRAINING | SMALL_MODEL, "tunes": SMALL_TRAINING},
    "your-own-audio": {"job": {"spec.dataset.audio.segment": "{minSeconds: 2, maxSeconds: 4, overlapSeconds: 0.5}"}},
}
"""By guide, what makes its jobs small."""


def write_music(storage: Storage) -> None:
    """A handful of small pieces, by more than one artist."""
    for number in range(6):
        storage.write(f"Artist {number}/Album {number}/piece.mid", midi_bytes(chorale(8, root=55 + number)))
    storage.write("evening.mid", midi_bytes(chorale(8)))


def write_recordings(storage: Storage) -> None:
    for number in range(4):
        storage.write(f"Artist {number}/take #{number}.wav", encoded(phrases([2.0, 3.0, 2.5, 3.0], 0.5)))


PREPARATIONS: dict[str, Callable[[Path], None]] = {
    "your-own-midi": lambda folder: write_music(open_storage(f"{folder}/music")),
    "your-own-audio": lambda folder: write_recordings(open_storage(f"{folder}/recordings")),
    "s3-storage": lambda _folder: write_music(open_storage("s3://music/raw")),
    "finetune": lambda folder: write_music(open_storage(f"{folder}/music")),
    "chain": lambda folder: write_music(open_storage(f"{folder}/music")),
}


def prepare(guide: Path, folder: Path) -> None:
    """What a guide expects to be there already."""
    if guide.stem in PREPARATIONS:
        PREPARATIONS[guide.stem](folder)


def carry_out(guide: Path, folder: Path, *, slow: bool) -> None:
    follower = Follower(folder, SMALL.get(guide.stem, {}))
    for block in blocks(guide):
        if block.marks.startswith("file="):
            follower.write(block)
        elif block.marks == "run" or (block.marks == "run slow" and slow):
            follower.run(block.text)


@by_guide
def test_the_jobs_of_a_guide_are_right(guide: Path) -> None:
    jobs = [block.text for block in blocks(guide) if block.language == "yaml" and block.marks != "values"]
    assert jobs
    for job in jobs:
        assert parse_job(job).job.metadata.name == yaml.safe_load(job)["metadata"]["name"]


@by_guide
def test_marks_are_known(guide: Path) -> None:
    for block in blocks(guide):
        assert block.marks in ("", "run", "run slow", "values") or block.marks.startswith(("file=", "cluster=")), block


def marked(mark: str) -> pytest.MarkDecorator:
    """The guides that are carried out here and have a block that is marked so."""
    found = [guide for guide in GUIDES if guide != SOUND and any(block.marks == mark for block in blocks(guide))]
    return pytest.mark.parametrize("guide", found, ids=[guide.stem for guide in found])


@marked("run")
def test_what_a_guide_says_at_once_works(guide: Path, tmp_path: Path) -> None:
    prepare(guide, tmp_path)
    carry_out(guide, tmp_path, slow=False)


@pytest.fixture(scope="module")
def first_job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the guide to a first job was carried out."""
    folder = tmp_path_factory.mktemp("first-job")
    carry_out(FIRST_JOB, folder, slow=True)
    return folder


@pytest.mark.slow
@marked("run slow")
def test_what_a_guide_says_works(
    guide: Path, tmp_path: Path, s3_server: S3Server, request: pytest.FixtureRequest
) -> None:
    if guide in (FIRST_JOB, FINE_TUNING):
        first: Path = request.getfixturevalue("first_job")
        if guide == FIRST_JOB:
            return
        shutil.copytree(first / "out/first", tmp_path / "out/first")
    prepare(guide, tmp_path)
    carry_out(guide, tmp_path, slow=True)
