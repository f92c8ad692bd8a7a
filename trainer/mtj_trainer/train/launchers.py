"""What starts the training processes of a machine: torchrun or DeepSpeed's launcher. Each says how they ended.

Neither is told to stop by a signal: both would end the processes half a minute later, with their work unsaved. The
processes are told themselves (``supervisor.py``), and the launchers see them leave.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import psutil
import torch
from torch.distributed import run as torchrun
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from mtj_trainer.train.gang import Gang
from mtj_trainer.train.rendezvous import NAME as RENDEZVOUS
from mtj_trainer.train.rendezvous import meet_in

TORCHRUN_GRACE_SECONDS = 30
"""After the first failure, torchrun gives the processes beside it so long before it kills them."""

UNHANDLED = "SIGQUIT"
"""The signals that torchrun handles itself: at least one, so one that nobody sends."""


@dataclass(frozen=True)
class Failure:
    """A process that did not end well.

    Attributes:
        code: its exit status, or minus the number of the signal that ended it.
        rank: of the process, where it is known.
    """

    code: int
    rank: int | None = None


class GangBrokeUp(Exception):  # noqa: N818 - it is no error of this machine
    """The launcher lost the other machines."""


class Launcher(Protocol):
    """Starts the processes of this machine and waits for them."""

    def run(self) -> list[Failure]:
        """The processes that failed, first the one that did so first; none when all is done.

        Raises:
            GangBrokeUp: the other machines were lost before the processes ran, or while they did.
        """
        ...

    def processes(self) -> list[psutil.Process]:
        """The training processes that there are now."""
        ...


class Torchrun:
    """torchrun, in this process.

    Args:
        command: module and arguments of a training process.
        processes: how many.
        gang: the machines, which have joined when this runs.
    """

    def __init__(self, command: Sequence[str], processes: int, gang: Gang) -> None:
        self._command = command
        self._processes = processes
        self._gang = gang

    def run(self) -> list[Failure]:
        """See ``Launcher.run``."""
        gang = self._gang
        arguments = ["--nnodes", str(gang.nodes), "--nproc-per-node", str(self._processes), "--max-restarts", "0"]
        arguments += ["--rdzv-backend", RENDEZVOUS, "--rdzv-endpoint", f"{gang.host}:{gang.port}"]
        arguments += ["--signals-to-handle", UNHANDLED, "-m", *self._command]
        meet_in(gang)
        try:
            torchrun.main(arguments)
        except ChildFailedError as error:
            return _failures(error.failures)
        return []

    def processes(self) -> list[psutil.Process]:
        """See ``Launcher.processes``."""
        return psutil.Process().children()


class DeepSpeedLauncher:
    """DeepSpeed's launcher for one machine, as a child: what its ``deepspeed`` starts on each machine over ssh.

    The training processes meet at the gang's store (``TORCHELASTIC_USE_AGENT_STORE``), which is there before them.

    Args:
        command: module and arguments of a training process.
        processes: how many.
        gang: the machines, which have joined when this runs.
    """

    def __init__(self, command: Sequence[str], processes: int, gang: Gang) -> None:
        machines = {f"machine{number}": list(range(processes)) for number in range(gang.nodes)}
        self._world = base64.urlsafe_b64encode(json.dumps(machines).encode()).decode()
        self._command = command
        self._gang = gang
        self._child: subprocess.Popen[bytes] | None = None

    def run(self) -> list[Failure]:
        """See ``Launcher.run``."""
        command = [sys.executable, "-m", "deepspeed.launcher.launch", f"--world_info={self._world}"]
        command += ["--node_rank", str(self._gang.rank), "--no_local_rank", "--log_level", "critical"]
        command += ["--master_addr", self._gang.host, "--master_port", str(self._gang.port)]
        command += ["--module", *self._command]
        environment = {**os.environ, "TORCHELASTIC_USE_AGENT_STORE": "True", "TORCHELASTIC_RESTART_COUNT": "0"}
        if not torch.cuda.is_available():
            environment.setdefault("DS_ACCELERATOR", "cpu")  # else it warns that it found nothing better
        self._child = subprocess.Popen(command, env=environment)
        code = self._child.wait()
        if code > 128:  # it leaves with the process's status, a negative one for a signal, of which 8 bits remain
            code -= 256
        return [Failure(code)] if code else []

    def processes(self) -> list[psutil.Process]:
        """See ``Launcher.processes``: children of the launcher, or itself while there are none."""
        if self._child is None or self._child.poll() is not None:
            return []
        launcher = psutil.Process(self._child.pid)
        return launcher.children() or [launcher]


def _failures(failures: dict[int, ProcessFailure]) -> list[Failure]:
    """Those of a ``ChildFailedError``, without what torchrun itself killed for not leaving after the first."""
    in_order = sorted(failures.items(), key=lambda item: item[1].timestamp)
    first = in_order[0][1].timestamp
    return [
        Failure(failure.exitcode, rank)
        for rank, failure in in_order
        if failure.exitcode != -signal.SIGKILL or failure.timestamp - first < TORCHRUN_GRACE_SECONDS - 1
    ]
