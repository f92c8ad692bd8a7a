"""The process that keeps a cluster: it starts the machines, says when they are ready, and switches them off at the end.

It holds a lock for as long as it lives, so that whoever wants to know whether a cluster is up, or which process to
end, asks the kernel and not a file that a crash may have left. A cluster that tests started is up while one of them
holds the other lock, ``users``; one that ``make cluster`` started, until ``make cluster-down``.

Invariant: when the lock can be had, no process, mount or interface of the cluster is left on this machine.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO

from testcluster import cgroups, control, credentials, folders, network, node
from testcluster.layout import FOLDER, KUBECONFIG, NODES, Layout
from testcluster.machine import Machine, wait_until

LOCK = FOLDER / "lock"
USERS = FOLDER / "users"
KEEP = FOLDER / "keep"
"""There while the cluster is to be up also when no test uses it."""

_NETWORK = FOLDER / "network"
"""Has the number of the network that the cluster took."""

LOG = FOLDER / "logs/cluster.log"

_READY_SECONDS = 180


def running() -> int | None:
    """The process that keeps this checkout's cluster; None when there is no cluster."""
    if not LOCK.exists():
        return None
    with LOCK.open() as lock:
        return None if _take(lock, fcntl.LOCK_SH) else int(lock.read() or 0) or None


def run() -> None:
    """Keep a cluster until a signal says not to, or nobody uses it any more.

    Raises:
        RuntimeError: it cannot be, or another process keeps it.
    """
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(0))
    with LOCK.open("a+") as lock, USERS.open("a+") as users:
        # Who asks whether it is free holds it for a moment.
        wait_until(lambda: _take(lock, fcntl.LOCK_EX), 1, "another process keeps this cluster already")
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        remove_leftovers()
        cluster = _Cluster(Layout(FOLDER, network.free_network()))
        try:
            cluster.switch_on()
            while KEEP.exists() or not _take(users, fcntl.LOCK_EX):
                cluster.heed_switches()
                time.sleep(1)
        finally:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            cluster.switch_off()
            remove_leftovers()


class _Cluster:
    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._control: Machine | None = None
        self._nodes: dict[str, Machine] = {}
        self._off: set[str] = set()

    def switch_on(self) -> None:
        layout = self._layout
        _NETWORK.write_text(str(layout.network))
        credentials.create(layout)
        self._control = self._machine("control")
        network.plug_control(layout, self._control.pid)
        self._control.go()
        for name in NODES:
            self._nodes[name] = self._node(name)
        for name in NODES:
            why = f"{name} was not ready in time: see the logs in {LOG.parent}"
            wait_until(partial(self._is_ready, name), _READY_SECONDS, why)
        self._share_folders()
        ready = KUBECONFIG.with_suffix(".new")
        shutil.copyfile(credentials.kubeconfig(layout, credentials.ADMIN), ready)
        ready.chmod(0o600)
        ready.replace(KUBECONFIG)

    def _share_folders(self) -> None:
        objects = [one for shared in folders.SHARED for one in folders.volume_and_claim("default", *shared)]
        file = self._layout.control / "folders.json"
        file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
        done = control.kubectl(self._layout, "apply", f"--filename={file}")
        if done.returncode != 0:
            raise RuntimeError(f"the folders of this machine could not be shared: {done.stderr}")

    def heed_switches(self) -> None:
        """Switch nodes off, and on again, as a test wants it. One that ended by itself stays as it is."""
        for name, machine in self._nodes.items():
            if switch(name).exists():
                machine.switch_off()
                self._off.add(name)
            elif name in self._off:
                self._off.discard(name)
                self._nodes[name] = self._node(name)

    def switch_off(self) -> None:
        KUBECONFIG.unlink(missing_ok=True)
        KEEP.unlink(missing_ok=True)
        for machine in (*self._nodes.values(), *([self._control] if self._control else [])):
            machine.switch_off()

    def _node(self, name: str) -> Machine:
        assert self._control is not None
        cgroups.create(node.group(self._layout, name))
        machine = self._machine("node", name)
        network.plug_node(self._layout, name, machine.pid, self._control.pid)
        pid_file(name).parent.mkdir(parents=True, exist_ok=True)
        pid_file(name).write_text(str(machine.pid))
        machine.go()
        return machine

    def _machine(self, module: str, *arguments: str) -> Machine:
        name = arguments[0] if arguments else module
        return Machine(module, [str(FOLDER), str(self._layout.network), *arguments], self._layout.log(name))

    def _is_ready(self, name: str) -> bool:
        for machine in (self._control, *self._nodes.values()):
            if machine is not None and not machine.is_on:
                raise RuntimeError(f"a machine of the cluster did not start: see the logs in {LOG.parent}")
        path = "--output=jsonpath={.status.conditions[?(@.type=='Ready')].status}"
        return control.kubectl(self._layout, "get", "node", name, path).stdout == "True"


def remove_leftovers() -> None:
    """Remove all that a cluster, which may have crashed, has left, but for its nodes' images."""
    KUBECONFIG.unlink(missing_ok=True)
    if not _NETWORK.exists():
        return
    layout = Layout(FOLDER, int(_NETWORK.read_text()))
    shutil.rmtree(layout.control, ignore_errors=True)
    for name in NODES:
        shutil.rmtree(layout.node(name) / "kubelet", ignore_errors=True)
        pid_file(name).unlink(missing_ok=True)
        switch(name).unlink(missing_ok=True)
        cgroups.remove(node.group(layout, name))
    _NETWORK.unlink()


def pid_file(name: str) -> Path:
    """Has the first process of a node that is on, as this machine numbers it."""
    return FOLDER / name / "pid"


def switch(name: str) -> Path:
    """A node is without power while this file is there; it starts again, with its images alone, when it is gone."""
    return FOLDER / name / "off"


def _take(lock: IO[str], how: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(lock, how | fcntl.LOCK_NB)
        return True
    return False


if __name__ == "__main__":
    try:
        run()
    except RuntimeError as error:
        sys.exit(f"error: {error}")
