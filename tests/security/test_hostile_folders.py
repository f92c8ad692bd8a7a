"""What lies in a music folder besides music: it is not unpacked, not waited for, and not told to anybody."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from mtj_api import JobError, parse_job
from mtj_operator.plan import absolute
from mtj_operator.plan.objects import stages_on_cluster
from mtj_operator.plan.settings import ClusterSettings
from mtj_trainer.prepare.driver import prepare
from mtj_trainer.prepare.pool import WorkerPool
from mtj_trainer.storage import Entry, open_storage
from mtj_trainer.storage.folder import FolderStorage
from mtj_trainer.storage.local import on_this_machine
from support.finished import ThisProcess
from support.jobs import text
from support.music_folder import midi, write

CANARY = "canary-7f3a"


def archives() -> dict[str, bytes]:
    """A zip and a tar with members that lead out, and a zip of a megabyte that says a gigabyte."""
    packed, tarred, bomb = io.BytesIO(), io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("../../escaped.mid", midi())
        archive.writestr("/tmp/escaped.mid", midi())
    with tarfile.open(fileobj=tarred, mode="w") as files:
        link = tarfile.TarInfo("link.mid")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        files.addfile(link)
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.wav", bytes(64 << 20))
    return {"music.zip": packed.getvalue(), "music.tar": tarred.getvalue(), "bomb.zip": bomb.getvalue()}


def prepared(tmp_path: Path) -> dict[str, float]:
    """The figures of preparing ``music`` below a folder, with good pieces in it."""
    write(tmp_path / "music", {f"good {n}.mid": midi(seed=n) for n in range(4)})
    spec = {
        "dataset": {"source": str(tmp_path / "music"), "split": {"keepTogether": []}},
        "output": str(tmp_path / "out"),
    }
    record = prepare(parse_job(text(**spec)).job, cast(WorkerPool, ThisProcess()))
    return dict(record["figures"])


def left_behind(folder: Path) -> str:
    return "\n".join(path.read_bytes().decode("latin-1") for path in sorted(folder.rglob("*")) if path.is_file())


def test_an_archive_in_a_music_folder_is_not_opened(tmp_path: Path) -> None:
    """The project reads no archive of a user's: the one place that opens any reads those of an installed package."""
    write(tmp_path / "music", archives())
    figures = prepared(tmp_path)
    assert figures["prepare.files"] == 4
    assert figures["prepare.skipped"] == 3
    assert not list(tmp_path.rglob("*escaped*"))


def test_an_archive_that_is_called_music_is_left_out(tmp_path: Path) -> None:
    write(tmp_path / "music", {f"{name}.wav": content for name, content in archives().items()})
    write(tmp_path / "music", {f"{name}.mid": content for name, content in archives().items()})
    assert prepared(tmp_path)["prepare.quarantined"] == 6


def test_a_pipe_or_a_device_in_a_music_folder_is_not_waited_for(tmp_path: Path) -> None:
    music = tmp_path / "music"
    music.mkdir()
    os.mkfifo(music / "pipe.wav")
    (music / "endless.wav").symlink_to("/dev/zero")
    (music / "endless.mid").symlink_to("/dev/random")
    assert list(open_storage(str(music)).list()) == []
    assert prepared(tmp_path)["prepare.files"] == 4


def test_a_link_to_a_secret_tells_nobody_what_is_in_it(tmp_path: Path) -> None:
    """Links are followed, as people keep music behind them; a file that is no music leaves nothing of its content."""
    (tmp_path / "secret").write_text(f"password={CANARY}\n")
    music = tmp_path / "music"
    music.mkdir()
    for name in ("key.mid", "key.wav", "key.mp3", "metadata.jsonl"):
        (music / name).symlink_to(tmp_path / "secret")
    (music / "deep").mkdir()
    (music / "deep/metadata.csv").symlink_to(tmp_path / "secret")
    prepared(tmp_path)
    assert CANARY not in left_behind(tmp_path / "out")


def test_a_key_of_a_storage_never_leads_out_of_a_folder(tmp_path: Path) -> None:
    """Keys of S3 may hold anything; where one becomes a path it is checked."""

    class Elsewhere(FolderStorage):
        def local_path(self, key: str = "") -> Path:
            return cast(Path, None)

        def list(self, prefix: str = "") -> object:  # type: ignore[override]
            yield Entry("../../escaped", 1, "1")

        def fetch(self, key: str, into: Path, on_piece: Callable[[], None] = lambda: None) -> Path:
            raise AssertionError(into)

    with pytest.raises(ValueError, match="not a key"), on_this_machine(Elsewhere(tmp_path), tmp_path):
        pass


@pytest.mark.parametrize(
    ("place", "found"), [("/music/../etc", "/etc"), ("../../x", "/x"), ("file:///music/%2e%2e/etc", "/etc")]
)
def test_a_place_is_what_it_says_once_its_dots_are_gone(place: str, found: str) -> None:
    job = absolute(parse_job(text(dataset={"source": "/a"}, output=place)).job, "/home/me", "/home/me")
    assert job.spec.output == found


def test_an_output_cannot_hide_in_the_source(tmp_path: Path) -> None:
    job = parse_job(text(dataset={"source": "/music"}, output="/other/../music/out")).job
    with pytest.raises(JobError, match="lies in dataset"):
        absolute(job, "/", "/")


@pytest.mark.parametrize(
    "place", ["/music/../etc", "/etc/mtj", "/work/x", "/var/run/secrets", "file:///music/..%2fetc"]
)
def test_a_pod_writes_to_no_folder_but_a_volume_of_the_job(place: str) -> None:
    volume = {"name": "music", "mountPath": "/music", "persistentVolumeClaim": {"claimName": "music"}}
    spec = {"dataset": {"source": "/music/raw"}, "scheduling": {"podTemplate": {"volumes": [volume]}}}
    with pytest.raises(JobError, match="lies on no volume"):
        stages_on_cluster(parse_job(text(**spec, output=place)).job, ClusterSettings(trainer_image="trainer:1"))
