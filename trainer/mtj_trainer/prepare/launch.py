"""``python -m mtj_trainer.prepare.launch``: preparing on several machines.

    --nodes N --node-rank R --head HOST:PORT -m MODULE --job FILE

The first machine runs Ray's head at that port and the module, which divides the work; the others run Ray's workers
until the first says that all is done (0), or is gone (69). Nobody is waited for: whoever comes takes what is left.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from mtj_api import JobError, read_resolved_job
from mtj_api.contract import ExitCode
from mtj_trainer.prepare.lifeline import Helper, Leader
from mtj_trainer.prepare.ray_node import AUTHENTICATION, RayFailed, RayNode
from mtj_trainer.stage import Interrupted, leave_sentence

LOOK_SECONDS = 0.2

HEAD = ("--head", "--include-dashboard", "false", "--no-monitor")
"""Ray's head without a dashboard and an autoscaler, which nobody asks here."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Lead or help; the exit status keeps the contract of ``mtj_api.contract``."""
    options = parse(arguments)
    host, _, port = options.head.rpartition(":")
    driver = Driver(options.command)
    signal.signal(signal.SIGTERM, driver.on_stop)
    signal.signal(signal.SIGINT, driver.on_stop)
    try:
        cpus = -(-read_resolved_job(options.job).spec.dataset.workers.count // options.nodes)
        if options.node_rank == 0:
            return lead(driver, host, int(port), cpus)
        return assist(host, int(port), cpus)
    except Interrupted:
        return ExitCode.INTERRUPTED
    except JobError as error:
        leave_sentence(str(error))
        return ExitCode.WRONG_JOB
    except RayFailed as error:
        leave_sentence(str(error))
        return ExitCode.CRASHED


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The arguments; wrong ones end the process with 2. ``job`` is the one of the module's arguments."""
    parser = argparse.ArgumentParser(prog="python -m mtj_trainer.prepare.launch", description=__doc__)
    parser.add_argument("--nodes", type=int, required=True, help="machines")
    parser.add_argument("--node-rank", type=int, required=True, help="this machine's number; 0 leads")
    parser.add_argument("--head", required=True, help="HOST:PORT of the first machine; the next port is used too")
    parser.add_argument("-m", dest="command", nargs=argparse.REMAINDER, required=True, help="module and arguments")
    options = parser.parse_args(arguments)
    if not re.fullmatch(r".+:\d+", options.head):
        parser.error("--head must be HOST:PORT")
    module = argparse.ArgumentParser(add_help=False)
    module.add_argument("--job", type=Path, required=True)
    options.job = module.parse_known_args(options.command[1:])[0].job
    return options


class Driver:
    """The module that divides the work, as a child of the leader.

    Args:
        command: module and arguments.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._command = [sys.executable, "-m", *command]
        self._process: subprocess.Popen[bytes] | None = None

    def on_stop(self, _number: int, _frame: FrameType | None) -> None:
        """Pass a signal on to the driver, which leaves in order; without one there is nothing to save."""
        if self._process is None:
            raise Interrupted
        self._process.send_signal(signal.SIGTERM)

    def run(self, address: str, ray: RayNode) -> int:
        """Its exit status, by the contract.

        Raises:
            RayFailed: Ray ended before it.
        """
        self._process = subprocess.Popen(self._command, env={**os.environ, **AUTHENTICATION, "RAY_ADDRESS": address})
        while (code := self._process.poll()) is None:
            if not ray.runs:
                self._process.kill()
                self._process.wait()
                raise RayFailed("Ray's head ended while files were prepared")
            time.sleep(LOOK_SECONDS)
        if code == -signal.SIGKILL:
            leave_sentence("the preparation was ended by SIGKILL, which the system sends when memory runs out")
        return code if code in {int(known) for known in ExitCode} else ExitCode.CRASHED


def lead(driver: Driver, host: str, port: int, cpus: int) -> int:
    """Run Ray's head and the driver, and tell the others how it ended."""
    address = _own_address(host)
    with RayNode(cpus, *HEAD, "--port", str(port), "--node-ip-address", address) as ray, Leader(port + 1) as leader:
        code = driver.run(f"{address}:{port}", ray)
        if code == ExitCode.DONE:
            leader.all_done()
    return code


def assist(host: str, port: int, cpus: int) -> int:
    """Run Ray's workers as long as the leader leads."""
    helper = Helper(host, port + 1, _say)
    try:
        join = ("--address", f"{socket.gethostbyname(host)}:{port}")
        with RayNode(cpus, *join, wanted=helper.has_leader) as ray:
            _say(f"prepares up to {cpus} files at a time here, too")
            while helper.has_leader(LOOK_SECONDS):
                if not ray.runs:
                    raise RayFailed("Ray ended on this machine while files were prepared")
    except RayFailed:
        if helper.has_leader(LOOK_SECONDS):
            raise
    finally:
        helper.close()
    if helper.ended_well:
        return ExitCode.DONE
    leave_sentence("the machine that leads the preparation went away")
    return ExitCode.PEER_LOST


def _own_address(host: str) -> str:
    """What the leader's name means, once it means anything: on a cluster a name comes with its machine."""
    said = False
    while True:
        try:
            return socket.gethostbyname(host)
        except socket.gaierror:
            if not said:
                _say(f"waiting for the name {host}")
                said = True
            time.sleep(LOOK_SECONDS)


def _say(text: str) -> None:
    print(f"prepare   {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
