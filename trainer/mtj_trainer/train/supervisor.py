"""Keeps the training processes of a machine in order until the last has left, and says what their end means.

Invariant: a stop is passed on to the processes at once, and they may take ``STOP_SECONDS`` to save their work; when
the gang has broken up they are ended, since none of them could take another step.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType

import psutil

from mtj_api.contract import ExitCode
from mtj_trainer.stage import Interrupted
from mtj_trainer.train.gang import Gang
from mtj_trainer.train.launchers import Failure, GangBrokeUp, Launcher
from mtj_trainer.train.oom_kills import oom_kills

STOP_SECONDS = 100.0
"""How long processes that are told to stop may take to save their work: a pod has 120 s in all."""

LEAVE_SECONDS = 5.0
"""How long processes may take to leave by themselves when another machine has left: they usually notice first."""

END_SECONDS = 20.0
"""How long they may take when they are told to."""

LOST = "a training process on another node went away"


class Supervisor:
    """Runs a launcher to its end.

    Args:
        launcher: what starts the processes.
        gang: the machines to train with.
    """

    def __init__(self, launcher: Launcher, gang: Gang) -> None:
        self._launcher = launcher
        self._gang = gang
        self._main = threading.get_ident()
        self._stopped = False
        self._lost = False
        self._killed = False

    def run(self) -> tuple[ExitCode, str]:
        """How it ended, and why in a sentence where no process has left one."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGUSR1, self._on_loss)
        failures: list[Failure] | None = None
        kills = oom_kills()
        try:
            self._gang.join()
            self._gang.watch(self._break_up)
            failures = self._launcher.run()
        except Interrupted:
            pass
        except GangBrokeUp:
            self._lost = True
        code = verdict(failures, stopped=self._stopped, lost=self._lost, killed=self._killed)
        if code == ExitCode.CRASHED and _killed(failures or []) and (oom_kills() or 0) > (kills or 0):
            code = ExitCode.OUT_OF_MEMORY
        self._gang.leave(code)
        return code, sentence(code, failures or [])

    def _on_stop(self, _number: int, _frame: FrameType | None) -> None:
        if not self._stopped:
            self._stopped = True
            timer = threading.Timer(STOP_SECONDS, self._kill)
            timer.daemon = True
            timer.start()
        if not self._tell(signal.SIGTERM):
            raise Interrupted

    def _on_loss(self, _number: int, _frame: FrameType | None) -> None:
        if not self._launcher.processes():
            raise GangBrokeUp

    def _break_up(self) -> None:
        """In the gang's thread: another machine has left."""
        self._lost = True
        if not self._launcher.processes():
            signal.pthread_kill(self._main, signal.SIGUSR1)
        time.sleep(LEAVE_SECONDS)
        self._tell(signal.SIGTERM)
        time.sleep(END_SECONDS)
        self._kill()

    def _kill(self) -> None:
        self._killed = self._tell(signal.SIGKILL) or self._killed

    def _tell(self, number: signal.Signals) -> bool:
        """Send a signal to the training processes; whether there were any."""
        processes = self._launcher.processes()
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        return bool(processes)


def verdict(failures: Sequence[Failure] | None, *, stopped: bool, lost: bool, killed: bool) -> ExitCode:
    """What the end of a machine's processes means.

    Where several failed, the cause counts and not what followed from it: a process that fails takes those that wait
    for it along.

    Args:
        failures: processes that did not end well; ``None`` where they were not run to an end.
        stopped: whether this machine was told to stop.
        lost: whether another machine has left the gang.
        killed: whether processes that would not end were killed from here.
    """
    if failures is not None and not failures:
        return ExitCode.DONE
    codes = [failure.code for failure in failures or []]
    for told in (ExitCode.WRONG_JOB, ExitCode.OUT_OF_MEMORY):
        if told in codes:
            return told
    followed = {int(ExitCode.PEER_LOST), int(ExitCode.INTERRUPTED), -signal.SIGTERM}
    if killed:
        followed.add(-signal.SIGKILL)
    if lost:
        followed.add(-signal.SIGABRT)  # NCCL ends a process so whose peers are gone
    if not followed.issuperset(codes):
        return ExitCode.CRASHED
    if stopped or ExitCode.INTERRUPTED in codes:
        return ExitCode.INTERRUPTED
    if lost or ExitCode.PEER_LOST in codes:
        return ExitCode.PEER_LOST
    return ExitCode.CRASHED


def sentence(code: ExitCode, failures: Sequence[Failure]) -> str:
    """Why, where the processes themselves could not say it; else empty."""
    if code == ExitCode.PEER_LOST:
        return LOST
    killed = _killed(failures)
    if not killed:
        return ""
    which = "a training process" if killed[0].rank is None else f"training process {killed[0].rank}"
    if code == ExitCode.OUT_OF_MEMORY:
        return f"the system ended {which}, as memory ran out"
    if code == ExitCode.CRASHED:
        return f"{which} was ended by SIGKILL, which the system sends when memory runs out"
    return ""


def _killed(failures: Sequence[Failure]) -> list[Failure]:
    return [failure for failure in failures if failure.code == -signal.SIGKILL]
