"""Checkpoints on a storage, or by way of a disk, that fails: training goes on through what passes, and is told of the
rest in a sentence."""

from __future__ import annotations

import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import obstore
import pytest
import torch
from obstore.store import S3Store

from mtj_api import JobError
from mtj_trainer.storage import Storage, StorageUnavailable, open_storage
from mtj_trainer.storage.s3 import S3Storage
from mtj_trainer.train.checkpoint import CheckpointFolder, Faults, Patience, RunState
from mtj_trainer.train.checkpoint.local import LocalFolder
from support import seaweedfs
from support.s3_proxy import Fault, S3Proxy, standing_between

SOON = Patience(seconds=60, last_seconds=60, first_pause=0.01, longest_pause=0.05)
NEVER = Patience(seconds=0, last_seconds=0, first_pause=0.01)


@pytest.fixture(scope="module")
def _proxy(_s3_server: seaweedfs.S3Server) -> Iterator[S3Proxy]:
    with standing_between(_s3_server) as proxy:
        yield proxy


@pytest.fixture
def proxy(_proxy: S3Proxy, s3_server: seaweedfs.S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Proxy:
    monkeypatch.setenv("AWS_ENDPOINT_URL", _proxy.endpoint)
    _proxy.break_with(Fault.NONE)
    _proxy.hit = 0
    return _proxy


@pytest.fixture
def storage(proxy: S3Proxy, s3_url: str) -> Storage:
    return S3Storage(seaweedfs.BUCKET, s3_url.rpartition("/")[2], retry_seconds=0)


def save(folder: CheckpointFolder, step: int, size: int = 40_000) -> None:
    weights = {"layer": torch.full((size,), float(step))}
    folder.save(RunState(step=step), weights, weights, {"optimizer": {}})


def checked_for_a_minute(folder: CheckpointFolder) -> None:
    for _ in range(6000):
        folder.check()
        threading.Event().wait(0.01)


def is_whole(storage: Storage, step: int) -> bool:
    restored = CheckpointFolder(storage, keep=1).load_latest()
    return restored is not None and restored.state.step == step and bool((restored.weights["layer"] == step).all())


@pytest.mark.parametrize("fault", [Fault.AWAY, Fault.BUSY, Fault.CUT, Fault.FULL])
def test_what_passes_is_waited_for(storage: Storage, proxy: S3Proxy, fault: Fault) -> None:
    lines: list[str] = []
    folder = CheckpointFolder(storage, keep=1, patience=SOON, say=lines.append)
    proxy.break_with(fault, left=4, only="PUT")
    save(folder, 10)
    folder.wait()
    assert proxy.hit == 4
    assert is_whole(storage, 10)
    assert folder.faults == Faults(failed=4)
    failing, again = lines
    why = "the bucket is full (QuotaExceeded); make room, or raise its quota" if fault is Fault.FULL else "http"
    assert failing.startswith(
        f"warning: no checkpoint could be written ({storage.url}/step-00000010/optimizer.pt: {why}"
    )
    assert again.startswith("checkpoints are written again, after ")


def test_training_goes_on_meanwhile_and_a_newer_checkpoint_takes_the_place(storage: Storage, proxy: S3Proxy) -> None:
    folder = CheckpointFolder(storage, keep=5, patience=SOON, say=lambda _: None)
    proxy.break_with(Fault.AWAY)
    for step in (10, 20, 30):  # each returns, though nothing is written
        save(folder, step)
        while folder.faults.failed < step // 10:
            folder.check()
            threading.Event().wait(0.01)
    proxy.break_with(Fault.NONE)
    folder.wait()
    assert folder.complete_steps() == [30]
    assert is_whole(storage, 30)


def test_what_is_slow_is_waited_for(storage: Storage, proxy: S3Proxy) -> None:
    folder = CheckpointFolder(storage, keep=5, patience=NEVER)
    proxy.break_with(Fault.SLOW)
    save(folder, 10)
    save(folder, 20)
    folder.wait()
    proxy.break_with(Fault.NONE)
    assert folder.complete_steps() == [10, 20]
    assert folder.faults == Faults()


def test_a_checkpoint_that_is_cut_off_in_reading_is_unreachable_and_not_damaged(
    storage: Storage, proxy: S3Proxy
) -> None:
    folder = CheckpointFolder(storage, keep=1)
    save(folder, 10)
    folder.wait()
    path = storage.url.removeprefix("s3:/")
    proxy.break_with(Fault.CUT, only=f"GET {path}/step-00000010/weights.safetensors")
    with pytest.raises(StorageUnavailable):
        CheckpointFolder(storage, keep=1).load_latest()
    proxy.break_with(Fault.NONE)
    assert is_whole(storage, 10)


def test_what_lasts_ends_training_with_a_sentence(storage: Storage, proxy: S3Proxy) -> None:
    folder = CheckpointFolder(storage, keep=1, patience=NEVER, say=lambda _: None)
    save(folder, 10)
    folder.wait()
    proxy.break_with(Fault.AWAY)
    save(folder, 20)
    with pytest.raises(StorageUnavailable) as error:
        folder.wait()
    assert str(error.value) == (
        f"{storage.url}/step-00000020/manifest.json: {proxy.endpoint} cannot be reached;"
        " check AWS_ENDPOINT_URL and the network; the newest complete checkpoint is that of step 10"
    )
    proxy.break_with(Fault.NONE)
    assert is_whole(storage, 10)


def test_what_is_refused_ends_training_at_once(storage: Storage, proxy: S3Proxy) -> None:
    folder = CheckpointFolder(storage, keep=1, patience=SOON)
    proxy.break_with(Fault.DENIED, only="PUT")
    save(folder, 10)
    with pytest.raises(JobError) as error:
        folder.wait()
    assert not isinstance(error.value, StorageUnavailable)
    assert str(error.value) == (
        f"{storage.url}/step-00000010/optimizer.pt: S3 does not allow this (AccessDenied);"
        " set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of an account that may read, list and write there;"
        " no checkpoint is complete yet"
    )
    assert proxy.hit == 1


def test_the_next_step_is_told_of_what_was_refused(storage: Storage, proxy: S3Proxy) -> None:
    folder = CheckpointFolder(storage, keep=1, patience=SOON)
    proxy.break_with(Fault.DENIED, only="PUT")
    save(folder, 10)
    with pytest.raises(JobError, match="does not allow this"):
        checked_for_a_minute(folder)


def test_a_bucket_that_goes_away_ends_training_at_once(s3_server: seaweedfs.S3Server) -> None:
    keys = {name.lower(): value for name, value in s3_server.environment.items() if name != "AWS_ENDPOINT_URL"}
    store = S3Store("shortlived", endpoint=s3_server.endpoint, client_options={"allow_http": True}, config=keys)
    seaweedfs._create_bucket(store)
    storage = S3Storage("shortlived", retry_seconds=0)
    folder = CheckpointFolder(storage, keep=1, patience=SOON)
    save(folder, 10)
    folder.wait()
    storage.delete_tree("")
    url = obstore.sign(store, "DELETE", "", timedelta(minutes=1))
    urllib.request.urlopen(urllib.request.Request(url, method="DELETE"), timeout=10).close()
    save(folder, 20)
    with pytest.raises(JobError) as error:
        folder.wait()
    assert str(error.value) == (
        "s3://shortlived/step-00000020: there is no bucket shortlived; create it, or name another;"
        " the newest complete checkpoint is that of step 10"
    )


def test_a_checkpoint_that_the_work_disk_has_no_room_for(tmp_path: Path) -> None:
    lines: list[str] = []
    folder = CheckpointFolder(open_storage(str(tmp_path)), keep=1, patience=SOON, say=lines.append)
    folder.save(RunState(step=10), {"layer": torch.zeros(1).expand(2**50)}, {}, {})
    (line,) = lines
    assert "a checkpoint of 4194304.0 GiB cannot be written to this disk, of which " in line
    assert "make room there, or let MTJ_WORK_DIR name a folder on a larger disk" in line
    save(folder, 20)
    folder.wait()
    assert folder.complete_steps() == [20]
    assert folder.faults == Faults(failed=1)


def test_a_work_disk_that_stays_full_ends_training(tmp_path: Path) -> None:
    folder = CheckpointFolder(open_storage(str(tmp_path)), keep=1, patience=NEVER, say=lambda _: None)
    with pytest.raises(
        StorageUnavailable, match=r"a checkpoint of .* cannot be written .*; no checkpoint is complete yet"
    ):
        folder.save(RunState(step=10), {"layer": torch.zeros(1).expand(2**50)}, {}, {})


def on_a_disk_of_a_mebibyte(script: str, folder: Path) -> str:
    """What a script prints that is given a full disk's folder; the disk is there for its process alone."""
    mounted = f"mount -t tmpfs -o size=1m tmpfs {folder} && exec {sys.executable} -c '{script}' {folder}"
    command = ["unshare", "--mount", "--map-root-user", "sh", "-c"]
    if subprocess.run([*command[:3], "true"], capture_output=True).returncode:
        pytest.skip("needs the right to mount")
    return subprocess.run([*command, mounted], capture_output=True, text=True, check=True).stdout


_FILL = """
import sys
from pathlib import Path
from mtj_trainer.storage import StorageUnavailable, open_storage
storage = open_storage(sys.argv[1])
storage.write("kept", b"x")
try:
    storage.write("large", b"x" * (2 << 20))
except StorageUnavailable as error:
    print(error)
print(sorted(path.name for path in Path(sys.argv[1]).iterdir()))
"""


def test_a_full_disk_may_pass_and_keeps_nothing_half_written(tmp_path: Path) -> None:
    printed = on_a_disk_of_a_mebibyte(_FILL, tmp_path)
    assert printed == f"{tmp_path}/large: cannot write this (No space left on device)\n['kept']\n"


_FILL_MEANWHILE = """
import os, sys
os.environ["MTJ_WORK_DIR"] = sys.argv[1]
import torch
from pathlib import Path
from mtj_trainer.train.checkpoint.background import Lost
from mtj_trainer.train.checkpoint.local import LocalFolder, write_locally
uncounted = {"optimizer.pt": {"state": b"x" * (900 << 10)}}
for contents in (
    {"optimizer.pt": {"state": b"x" * (2 << 20)}},
    {"optimizer.pt": {"state": (torch.zeros(1 << 20),)}},
    uncounted | {"weights.safetensors": {"layer": torch.zeros(1 << 16)}},
):
    with LocalFolder() as folder:
        try:
            write_locally(contents, folder.path)
        except Lost as error:
            print(error.what.partition(",")[0])
    print(list(Path(sys.argv[1]).iterdir()))
"""


def test_a_work_disk_that_fills_up_while_a_checkpoint_is_written_to_it(tmp_path: Path) -> None:
    """Something that is not counted beforehand takes the room that there seemed to be."""
    sizes = ["0.0 MiB", "0.0 MiB", "0.2 MiB"]
    expected = [f"a checkpoint of {size} cannot be written to this disk\n[]\n" for size in sizes]
    printed = on_a_disk_of_a_mebibyte(_FILL_MEANWHILE, tmp_path)
    assert printed == "".join(expected).replace("checkpoint of 0.0 MiB", "checkpoint")


_LEAVE = """
import os
from mtj_trainer.train.checkpoint.local import LocalFolder
folder = LocalFolder()
print(folder.path, flush=True)
os._exit(9)
"""


def test_what_a_killed_process_left_on_the_work_disk_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MTJ_WORK_DIR", str(tmp_path))
    left = Path(subprocess.run([sys.executable, "-c", _LEAVE], capture_output=True, text=True).stdout.strip())
    assert left.is_dir()
    with LocalFolder() as mine, LocalFolder() as another:
        assert {path.name for path in tmp_path.iterdir()} == {mine.path.name, another.path.name}
    assert not list(tmp_path.iterdir())
