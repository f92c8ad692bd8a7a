"""A cluster's beginning and end: all that it needs is made, its supervisor is started, and ended again.

Invariant: to ask twice is as good as once, from several processes at a time too.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from testcluster import images, supervisor
from testcluster.layout import CHECKOUT, FOLDER, KUBECONFIG
from testcluster.machine import wait_until

NEEDS_ROOT = "the test cluster makes namespaces and interfaces, which only root may: use sudo"

_UP_SECONDS = 240
_DOWN_SECONDS = 60


def prepare() -> list[str]:
    """Have everything that a cluster needs on this machine, and say what its images are called.

    Raises:
        RuntimeError: something could not be had; the programs that tried have printed more.
    """
    with _one_at_a_time("prepare"):
        building = _tool("build")
        try:
            if os.geteuid() != 0:
                raise RuntimeError(NEEDS_ROOT)
            if _tool("install-packages").wait() != 0:
                raise RuntimeError("a program that the cluster needs is missing")
            names = images.build()
        finally:
            building.wait()
        if building.returncode != 0:
            raise RuntimeError("the cluster's programs could not be built")
        return names


def up(*, keep: bool) -> None:
    """Have the cluster up, with today's images.

    Args:
        keep: it stays up until ``down``, and not only for as long as a process holds the lock of its users.

    Raises:
        RuntimeError: it cannot be; the text says why.
    """
    names = prepare()
    with _one_at_a_time("up"):
        if supervisor.running() is None:
            supervisor.KEEP.unlink(missing_ok=True)
            _start(keep)
        elif keep:
            supervisor.KEEP.touch()
        images.bring(names)


def _start(keep: bool) -> None:
    if keep:
        supervisor.KEEP.touch()
    supervisor.LOG.parent.mkdir(exist_ok=True)
    for old in supervisor.LOG.parent.iterdir():
        old.unlink()
    KUBECONFIG.unlink(missing_ok=True)
    with supervisor.LOG.open("ab") as output:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "testcluster.supervisor"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        )
    why = "the cluster was not up in time"
    wait_until(lambda: KUBECONFIG.exists() or keeper.poll() is not None, _UP_SECONDS, why)
    if keeper.poll() is not None:
        raise RuntimeError(f"the cluster did not start: {supervisor.LOG.read_text()[-2000:]}")


def down() -> None:
    """End the cluster, and return when nothing of it is left; also one that has crashed."""
    with _one_at_a_time("up"):
        keeper = supervisor.running()
        if keeper is not None:
            with suppress(ProcessLookupError):
                os.kill(keeper, signal.SIGTERM)
            why = f"process {keeper} has not ended the cluster"
            wait_until(lambda: supervisor.running() is None, _DOWN_SECONDS, why)
        supervisor.remove_leftovers()


def _tool(name: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([CHECKOUT / "tools/cluster" / name])


@contextmanager
def _one_at_a_time(what: str) -> Iterator[None]:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / f"{what}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
