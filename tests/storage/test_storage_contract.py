"""What every kind of storage promises, whether it is a folder or a bucket."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from mtj_trainer.storage import Storage, open_storage

AWKWARD_NAMES = [
    "two words.mid",
    "Präludium é.mid",
    "e\u0301 decomposed.mid",
    "prelude #1",
    "#1",
    "100%.txt",
    "a%20b",
    "a+b",
    "a&b=c",
    "what?.ogg",
    "[1] (2) {3}.flac",
    "'quoted' \"twice\"",
    "<angles>",
    "colon: semicolon;",
    "*",
    "~",
    ".hidden",
    ".folder/.file",
    "𝄞 clef.mid",
    "n" * 255,
]


@pytest.mark.parametrize("name", AWKWARD_NAMES)
def test_a_name_comes_back_as_it_was(storage: Storage, name: str) -> None:
    storage.write(f"below/{name}", name.encode())
    assert [entry.key for entry in storage.list()] == [f"below/{name}"]
    assert storage.exists(f"below/{name}")
    assert storage.read(f"below/{name}") == name.encode()
    storage.delete(f"below/{name}")
    assert not list(storage.list())


@pytest.mark.parametrize("name", AWKWARD_NAMES)
def test_a_child_of_any_name_is_reached_by_its_url(storage: Storage, name: str) -> None:
    child = storage.child(name)
    child.write("x", b"1")
    assert storage.read(f"{name}/x") == b"1"
    assert open_storage(child.url).read("x") == b"1"


PART = st.text(
    # '\\' is left out: SeaweedFS takes it for '/'; U+EF80-EFFF stand for bytes in the names of a folder.
    st.characters(exclude_categories=["Cc", "Cs", "Cn"], exclude_characters="/\\").filter(
        lambda c: not "\uef80" <= c <= "\uefff"
    ),
    min_size=1,
    max_size=40,
).filter(lambda part: part not in (".", ".."))
KEY = st.lists(PART, min_size=1, max_size=4).map("/".join)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(contents=st.dictionaries(KEY, st.binary(max_size=100), max_size=6))
@example(contents={"a/b": b"", "a.b": b"", "a b": b"", "ab": b""})
def test_what_is_stored_is_what_was_written(storage: Storage, contents: dict[str, bytes]) -> None:
    assume(not any(other.startswith(f"{key}/") for key in contents for other in contents))
    storage.delete_tree("")
    for key, data in contents.items():
        storage.write(key, data)
    assert {entry.key: entry.size for entry in storage.list()} == {key: len(data) for key, data in contents.items()}
    assert [entry.key for entry in storage.list()] == sorted(contents)
    assert {key: storage.read(key) for key in contents} == contents


@pytest.mark.parametrize("key", ["", "/", "a//b", "../up", "a/../b", "./a", "a/.", "tab\there", "line\nfeed", "nul\0"])
def test_a_name_that_cannot_be_everywhere_is_written_nowhere(storage: Storage, key: str) -> None:
    with pytest.raises(ValueError, match="not a key of a file"):
        storage.write(key, b"")
    assert not list(storage.list())


def test_a_storage_in_which_nothing_was_written_is_empty_and_stays_so(storage: Storage) -> None:
    assert not list(storage.list())
    assert not list(storage.list("below"))
    assert not storage.exists("a")
    storage.delete("a")
    storage.delete_tree("below")
    with pytest.raises(FileNotFoundError):
        storage.read("a")
    path = storage.local_path()
    assert path is None or not path.exists()


@pytest.mark.parametrize("key", ["none", "a", "a/b/c"])
def test_reading_what_is_not_there(storage: Storage, tmp_path: Path, key: str) -> None:
    storage.write("a/b", b"")
    place = storage.local_path(key) or f"{storage.url}/{key}"
    with pytest.raises(FileNotFoundError) as read:
        storage.read(key)
    assert str(read.value) == f"[Errno 2] no such file: {str(place)!r}"
    with pytest.raises(FileNotFoundError, match="no such file"):
        storage.fetch(key, tmp_path / "into")
    assert not (tmp_path / "into").exists()
    assert not storage.exists(key)


def test_whoever_fetches_is_told_whenever_some_more_has_come(storage: Storage, tmp_path: Path) -> None:
    storage.write("a", bytes(17 << 20))
    (tmp_path / "into").mkdir()
    here: list[int] = []

    def look() -> None:
        (partial,) = (tmp_path / "into").iterdir()
        here.append(partial.stat().st_size)

    storage.fetch("a", tmp_path / "into/a", look)
    assert here == sorted(set(here))
    assert here[0] < here[-1] == 17 << 20


def test_a_folder_is_not_the_names_that_begin_like_it(storage: Storage) -> None:
    for key in ("a/1", "a/b/2", "ab/3", "a.txt", "b/a/4"):
        storage.write(key, b"")
    assert [entry.key for entry in storage.list("a")] == ["a/1", "a/b/2"]
    assert [entry.key for entry in storage.list("a/")] == ["a/1", "a/b/2"]
    assert [entry.key for entry in storage.list("a/1")] == []
    assert [entry.key for entry in storage.child("b").list()] == ["a/4"]
    storage.delete_tree("a")
    assert [entry.key for entry in storage.list()] == ["a.txt", "ab/3", "b/a/4"]


def test_a_second_write_replaces_the_first_and_changes_the_version(storage: Storage) -> None:
    versions = []
    for data in (b"one", b"two", b"three"):
        storage.write("a", data)
        (entry,) = storage.list()
        versions.append(entry.version)
        assert (entry.size, storage.read("a")) == (len(data), data)
    assert len(set(versions)) == 3
    assert [entry.version for entry in storage.list()] == versions[-1:]


def test_large_files_are_written_and_fetched_whole(storage: Storage, tmp_path: Path) -> None:
    original = tmp_path / "original"
    original.write_bytes(os.urandom(21 << 20))  # three parts of a multipart upload
    storage.write("large", original)
    assert next(storage.list()).size == 21 << 20
    fetched = storage.fetch("large", tmp_path / "new folder/large")
    assert fetched.read_bytes() == original.read_bytes()
    assert [path.name for path in fetched.parent.iterdir()] == ["large"]


def test_fetching_replaces_the_file_that_was_there(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a longer one that is old")
    storage.write("a", b"new")
    assert storage.fetch("a", tmp_path / "a").read_bytes() == b"new"


def test_writing_a_file_that_is_not_there(storage: Storage, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        storage.write("a", tmp_path / "none")
    assert not list(storage.list())


_IN_LITTLE_MEMORY = """
import resource, sys
from pathlib import Path
from mtj_trainer.storage import open_storage
storage, folder = open_storage(sys.argv[1]), Path(sys.argv[2])
storage.write("warm", b"x" * (9 << 20)); storage.fetch("warm", folder / "warm")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
if sys.argv[3] == "write":
    storage.write("large", folder / "large")
else:
    storage.fetch("large", folder / "fetched")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize("doing", ["write", "fetch"])
def test_large_files_need_little_memory(url: str, tmp_path: Path, doing: str) -> None:
    mebibytes = 192
    with (tmp_path / "large").open("wb") as file:
        for _ in range(mebibytes):
            file.write(os.urandom(1 << 20))
    open_storage(url).write("large", tmp_path / "large")
    command = [sys.executable, "-c", _IN_LITTLE_MEMORY, url, str(tmp_path), doing]
    more = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert int(more) * 1024 < (mebibytes << 20) / 2


def test_of_several_writers_one_wins_as_a_whole(storage: Storage) -> None:
    contents = [bytes([n]) * (6 << 20) for n in range(6)]
    writers = [threading.Thread(target=storage.write, args=("a", data)) for data in contents]
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        if storage.exists("a"):
            seen.add(storage.read("a"))
    seen.add(storage.read("a"))
    assert seen <= set(contents)
    assert [(entry.key, entry.size) for entry in storage.list()] == [("a", 6 << 20)]


_WRITE_FOREVER = """
import sys
from pathlib import Path
from mtj_trainer.storage import open_storage
storage = open_storage(sys.argv[1])
print("ready", flush=True)
while True:
    storage.write("kept", Path(sys.argv[2]))
    storage.write(sys.argv[3], Path(sys.argv[2]))
"""


def test_a_killed_writer_leaves_the_old_content_or_the_new(url: str, tmp_path: Path) -> None:
    storage = open_storage(url)
    old, new = b"o" * (12 << 20), b"n" * (12 << 20)
    (tmp_path / "new").write_bytes(new)
    for round_number in range(6):
        storage.write("kept", old)
        command = [sys.executable, "-c", _WRITE_FOREVER, url, str(tmp_path / "new"), f"fresh-{round_number}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            try:
                writer.wait(timeout=0.01 * round_number)
            except subprocess.TimeoutExpired:
                writer.send_signal(signal.SIGKILL)
        assert storage.read("kept") in (old, new)
        for entry in storage.list():
            assert entry.key.startswith(("kept", "fresh"))
            assert storage.read(entry.key) in (old, new)
