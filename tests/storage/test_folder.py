"""What holds of folders besides the contract: every name on the disk, and what dead writers leave."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtj_api import JobError
from mtj_trainer.storage import open_storage
from mtj_trainer.storage.atomic import PARTIAL_SUFFIX, atomic_file

RAW_NAME = st.binary(min_size=1, max_size=60).filter(
    lambda name: not set(name) & {0, ord("/")} and name not in (b".", b"..")
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=RAW_NAME | st.text(st.characters(min_codepoint=0xEF00, max_codepoint=0xF000), min_size=1).map(str.encode))
def test_every_name_on_the_disk_is_listed_as_text_and_can_be_read(tmp_path: Path, name: bytes) -> None:
    storage = open_storage(str(tmp_path))
    (tmp_path / os.fsdecode(name[:240])).write_bytes(b"music")
    (entry,) = storage.list()
    assert entry.key.encode().decode() == entry.key
    assert storage.read(entry.key) == b"music"
    storage.delete(entry.key)
    assert not list(tmp_path.iterdir())


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "deep").mkdir(parents=True)
    (elsewhere / "deep/a.mid").write_bytes(b"a")
    music = tmp_path / "music"
    music.mkdir()
    (music / "folder").symlink_to(elsewhere)
    (music / "file.mid").symlink_to(elsewhere / "deep/a.mid")
    (music / "dangling.mid").symlink_to(tmp_path / "gone")
    (elsewhere / "deep/back").symlink_to(elsewhere)
    (music / "self").symlink_to(music)
    (music / "up").symlink_to(tmp_path)
    (music / "everything").symlink_to("/")
    storage = open_storage(str(music))
    assert [entry.key for entry in storage.list()] == ["file.mid", "folder/deep/a.mid"]


def test_a_name_never_leads_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"")
    storage = open_storage(f"{tmp_path}/inner")
    for act in (storage.read, storage.exists, storage.delete, storage.delete_tree, storage.child, storage.local_path):
        with pytest.raises(ValueError, match="not a key"):
            act("../secret")
    assert (tmp_path / "secret").exists()


def test_a_folder_is_made_by_the_first_write_only(tmp_path: Path) -> None:
    storage = open_storage(f"{tmp_path}/a/b").child("c")
    assert not list(tmp_path.iterdir())
    storage.write("d", b"")
    assert (tmp_path / "a/b/c/d").is_file()


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("file/below", "{}/file/below: cannot write this (File exists)"),
        ("folder", "{}/folder: cannot write this (Is a directory)"),
        ("n" * 256, "{}/" + "n" * 256 + ": cannot write this (File name too long)"),
    ],
)
def test_what_the_disk_refuses_is_told_in_a_sentence(tmp_path: Path, key: str, sentence: str) -> None:
    storage = open_storage(str(tmp_path))
    storage.write("file", b"")
    storage.write("folder/file", b"")
    with pytest.raises(JobError) as error:
        storage.write(key, b"")
    assert str(error.value) == sentence.format(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


_STALLED_WRITER = """
import sys, time
from pathlib import Path
from mtj_trainer.storage.atomic import atomic_file
with atomic_file(Path(sys.argv[1])) as file:
    file.write(b"half of it")
    file.flush()
    print("half", flush=True)
    time.sleep(600)
"""


def test_a_file_of_which_half_is_written_is_not_there(tmp_path: Path) -> None:
    storage = open_storage(str(tmp_path))
    storage.write("a", b"old")
    command = [sys.executable, "-c", _STALLED_WRITER, str(tmp_path / "a")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        assert [path.suffix for path in tmp_path.iterdir() if path.name != "a"] == [PARTIAL_SUFFIX]
        assert [entry.key for entry in storage.list()] == ["a"]
        assert storage.read("a") == b"old"

        storage.write("a", b"new")  # beside the writer, which is slow but alive
        assert len(list(tmp_path.iterdir())) == 2

        writer.send_signal(signal.SIGKILL)
    assert [entry.key for entry in storage.list()] == ["a"]
    storage.write("b", b"")
    assert len(list(tmp_path.iterdir())) == 3
    storage.write("a", b"newer")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
    assert storage.read("a") == b"newer"


def test_what_a_dead_writer_left_on_nfs_is_removed_and_hinders_no_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock = fcntl.flock

    def flock_of_nfs(file: int, operation: int) -> None:
        if operation & fcntl.LOCK_EX and fcntl.fcntl(file, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        flock(file, operation)

    command = [sys.executable, "-c", _STALLED_WRITER, str(tmp_path / "a")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        writer.kill()
    monkeypatch.setattr(fcntl, "flock", flock_of_nfs)
    open_storage(str(tmp_path)).write("a", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with atomic_file(tmp_path / "a") as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert not list(tmp_path.iterdir())
