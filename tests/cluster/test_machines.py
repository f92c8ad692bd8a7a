"""A machine of the test cluster is gone without a trace with whatever started it, also when that is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.kubectl import REPOSITORY
from support.witness import eventually, is_alive

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root"),
]

START = """
import sys, time
from pathlib import Path
from testcluster import network
from testcluster.layout import Layout
from testcluster.machine import Machine

layout = Layout(Path(sys.argv[1]), network.free_network())
machine = Machine("control", [str(layout.folder), str(layout.network)], Path(sys.argv[1]) / "log")
network.plug_control(layout, machine.pid)
print(layout.name, machine.pid, flush=True)
time.sleep(600)
"""


def interfaces() -> set[str]:
    listed = subprocess.run(["ip", "-json", "link"], check=True, capture_output=True)
    return {link["ifname"] for link in json.loads(listed.stdout)}


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM], ids=lambda end: end.name)
def test_no_process_and_no_interface_is_left_when_its_starter_is_killed(tmp_path: Path, end: signal.Signals) -> None:
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "tools/cluster")}
    command = [sys.executable, "-c", START, str(tmp_path)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        name, pid = starter.stdout.readline().split()
        assert name in interfaces()
        assert is_alive(int(pid))
        starter.send_signal(end)
    eventually(lambda: not is_alive(int(pid)) and name not in interfaces())
