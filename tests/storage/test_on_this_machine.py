"""A machine has one copy of what is stored elsewhere, for as long as anyone on it wants it, and nothing of the dead."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from mtj_api.contract import WORK_DIR_ENV
from mtj_trainer.storage import StorageUnavailable
from mtj_trainer.storage.folder import FolderStorage
from mtj_trainer.storage.local import lock_folder, make_own, on_this_machine

FILES = {"config.json": b"{}", "below/model.safetensors": b"weights" * 1000}


class Elsewhere(FolderStorage):
    """A folder that has no path on this machine."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.fetched: list[str] = []

    def fetch(self, key: str, into: Path, on_piece: Callable[[], None] = lambda: None) -> Path:
        self.fetched.append(key)
        return super().fetch(key, into, on_piece)

    def local_path(self, key: str = "") -> None:  # type: ignore[override]
        return None


@pytest.fixture
def elsewhere(tmp_path: Path) -> Elsewhere:
    folder = Elsewhere(tmp_path / "elsewhere")
    for key, data in FILES.items():
        folder.write(key, data)
    return folder


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    return tmp_path / "copies"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_however_many_want_it_it_is_fetched_once(elsewhere: Elsewhere, copies: Path) -> None:
    together = Barrier(8)

    def use(_: int) -> dict[str, bytes]:
        together.wait()
        with on_this_machine(elsewhere, copies) as folder:
            together.wait()  # as training processes do, nobody leaves before all have come
            return contents(folder)

    with ThreadPoolExecutor(8) as each:
        assert list(each.map(use, range(8))) == [FILES] * 8
    assert sorted(elsewhere.fetched) == sorted(FILES)
    assert not list(copies.iterdir())


def test_it_stays_until_the_last_has_left(elsewhere: Elsewhere, copies: Path) -> None:
    with on_this_machine(elsewhere, copies) as first:
        with on_this_machine(elsewhere, copies) as second:
            assert second == first
        assert contents(first) == FILES
    assert not list(copies.iterdir())
    with on_this_machine(elsewhere, copies) as later:
        assert contents(later) == FILES


def test_what_was_written_anew_is_fetched_anew(elsewhere: Elsewhere, copies: Path) -> None:
    with on_this_machine(elsewhere, copies) as before:
        elsewhere.write("config.json", b"[]")
        with on_this_machine(elsewhere, copies) as after:
            assert contents(before) == FILES
            assert contents(after) == FILES | {"config.json": b"[]"}


def test_a_disk_that_has_no_room_for_it_is_told_of(
    elsewhere: Elsewhere, copies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fill)
    with pytest.raises(StorageUnavailable) as raised, on_this_machine(elsewhere, copies):
        pass
    assert str(raised.value) == (
        f"{copies}: this disk has no room for a copy of {elsewhere.url}; "
        "make room there, or let MTJ_WORK_DIR name a folder on a larger disk"
    )
    assert not list(copies.iterdir())


HOLD = """
import sys
from pathlib import Path
from mtj_trainer.storage.local import on_this_machine
sys.path.insert(0, sys.argv[1])
from test_on_this_machine import Elsewhere

with on_this_machine(Elsewhere(Path(sys.argv[2])), Path(sys.argv[3])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_killed_process_leaves_nothing_behind(elsewhere: Elsewhere, copies: Path, tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", HOLD, str(Path(__file__).parent), str(tmp_path / "elsewhere"), str(copies)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with on_this_machine(elsewhere, copies):
            assert elsewhere.fetched == []
        assert len(list(copies.iterdir())) == 1  # the other still holds it
        process.send_signal(signal.SIGKILL)
        process.wait()
    (tmp_path / "another").mkdir()
    with on_this_machine(Elsewhere(tmp_path / "another"), copies) as another:
        assert list(copies.iterdir()) == [another.parent]


def test_what_was_made_anew_is_not_taken_for_what_was_abandoned(
    elsewhere: Elsewhere, copies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    abandoned, theirs = copies / "shared-0", copies / "shared-0/files"
    abandoned.mkdir(parents=True)
    before = abandoned.stat()
    held: list[int] = []

    def lock_late(descriptor: int, how: int) -> None:
        if os.path.samestat(os.fstat(descriptor), before):  # meanwhile one process removes it, and another makes it
            shutil.rmtree(abandoned)
            theirs.mkdir(parents=True)
            monkeypatch.undo()
            held.append(lock_folder(abandoned, fcntl.LOCK_SH))
        flock(descriptor, how)

    flock = fcntl.flock
    monkeypatch.setattr(fcntl, "flock", lock_late)
    with on_this_machine(elsewhere, copies):
        assert len(held) == 1
        assert theirs.exists()
    os.close(held[0])


DIE = """
import os, sys
from pathlib import Path
from mtj_trainer.storage import StorageUnavailable
from mtj_trainer.storage.folder import FolderStorage
sys.path.insert(0, sys.argv[1])
from test_on_this_machine import Elsewhere

class Dying(FolderStorage):
    def write(self, key, data):
        if sys.argv[3] == "killed":
            os._exit(9)
        super().write(key, data)

target, copies = Dying(Path(sys.argv[2]) / "target"), Path(os.environ["MTJ_WORK_DIR"])
{how}
"""


@pytest.mark.parametrize(
    "how",
    [
        "import torch; from mtj_trainer.tensors import store_tensors; store_tensors(target, 'w', {'w': torch.ones(1)})",
        "from mtj_trainer.storage.mirror import mirror; mirror(Elsewhere(Path(sys.argv[2])), target, copies)",
    ],
    ids=["tensors on their way to a storage", "a file on its way from one storage to another"],
)
def test_what_a_killed_process_left_goes_with_the_next(tmp_path: Path, how: str) -> None:
    (tmp_path / "a").write_bytes(b"a")
    work = tmp_path.parent / f"{tmp_path.name}-work"
    work.mkdir()

    def run(fate: str) -> int:
        arguments = [sys.executable, "-c", DIE.replace("{how}", how), str(Path(__file__).parent), str(tmp_path), fate]
        return subprocess.run(arguments, env=os.environ | {WORK_DIR_ENV: str(work)}).returncode

    assert run("killed") == 9
    assert len(list(work.iterdir())) == 1
    assert run("done") == 0
    assert not list(work.iterdir())


def test_a_disk_without_locks_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_descriptor: int, _how: int) -> None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(OSError, match="not supported"):
        make_own(tmp_path, "own-")
    assert not list(tmp_path.iterdir())
