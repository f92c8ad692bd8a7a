"""Keeps the training processes of a machine in order until the last has left, and says what their end means.

Invariant: a stop is passed on to the processes at once, and they may take ``STOP_SECONDS`` to save their work; when
the gang has broken up, or hangs, they are ended, since none of them could take another step.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType

import psutil
from torch.distributed import DistError

from mtj_api.contract import ExitCode
from mtj_trainer.stage import Interrupted, leave_sentence
from mtj_trainer.train.gang import Gang
from mtj_trainer.train.launchers import Failure, GangBrokeUp, Launcher
from mtj_trainer.train.oom_kills import oom_kills
from mtj_trainer.train.watchdog import Watchdog

STOP_SECONDS = 100.0
"""How long processes that are told to stop may take to save their work: a pod has 120 s in all."""

END_SECONDS = 20.0
"""How long processes may take to leave when they are told that they cannot go on."""

AGAIN_SECONDS = 0.1
"""After which a signal is sent again whose handler was not heard."""

STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Signals that ask for a stop."""

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
        self._hung = ""
        self._ended = threading.Event()
        self._watchdog: Watchdog | None = None

    def run(self, watchdog: Watchdog) -> tuple[ExitCode, str]:
        """How it ended, and why in a sentence where no process has left one.

        Args:
            watchdog: watches the processes while they run, and calls ``end_hung``.
        """
        self._watchdog = watchdog
        sys.unraisablehook = self._on_dropped
        for number in (*STOPS, signal.SIGUSR1):
            signal.signal(number, self._on_loss if number == signal.SIGUSR1 else self._on_stop)
        failures: list[Failure] | None = None
        kills = oom_kills()
        try:
            try:
                self._gang.join()
                self._gang.watch(self._break_up)
                watchdog.watch()
                failures = self._launcher.run()
            finally:
                for number in (*STOPS, signal.SIGUSR1):  # what follows ends soon, and is not to be broken off
                    signal.signal(number, signal.SIG_IGN)
        except Interrupted:
            pass
        except (GangBrokeUp, DistError):
            self._lost = True
        if _aborted(failures or []) and not self._lost:
            self._lost = self._gang.has_lost_another()
        self._ended.set()
        watchdog.leave()
        code = verdict(failures, stopped=self._stopped, lost=self._lost, killed=self._killed, hung=bool(self._hung))
        if code == ExitCode.CRASHED and _killed(failures or []) and (oom_kills() or 0) > (kills or 0):
            code = ExitCode.OUT_OF_MEMORY
        self._gang.leave(code)
        return code, sentence(code, failures or [], self._hung)

    def end_hung(self, why: str) -> None:
        """In the watchdog's thread: the gang hangs. ``why`` is empty where another machine says it."""
        if self._stopped:  # which has an end of its own
            return
        self._hung, self._lost = why, self._lost or not why
        if self._ended.is_set():  # other machines were faster, and took the processes of this one along
            return
        self._kill()
        if not self._ended.wait(END_SECONDS):  # one waits in the kernel, where nothing ends it
            leave_sentence(why or LOST)
            os._exit(ExitCode.CRASHED if why else ExitCode.PEER_LOST)

    def _on_stop(self, _number: int, _frame: FrameType | None) -> None:
        if self._watchdog is not None and self._watchdog.has_found:
            # A cluster stops the others as soon as one machine has left. That ends them anyway, with a word on why.
            return
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

    def _on_dropped(self, dropped: sys.UnraisableHookArgs) -> None:
        """What a signal's handler raises amid a finalizer or a weak reference's callback, Python drops: it is sent
        again, once that is over."""
        if not issubclass(dropped.exc_type, GangBrokeUp | Interrupted):
            sys.__unraisablehook__(dropped)
        elif not self._ended.is_set():
            again = signal.SIGTERM if issubclass(dropped.exc_type, Interrupted) else signal.SIGUSR1
            threading.Timer(AGAIN_SECONDS, signal.pthread_kill, (self._main, again)).start()

    def _break_up(self) -> None:
        """In the gang's thread: another machine has left."""
        self._lost = True
        if not self._launcher.processes():
            signal.pthread_kill(self._main, signal.SIGUSR1)
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


def verdict(
    failures: Sequence[Failure] | None, *, stopped: bool, lost: bool, killed: bool, hung: bool = False
) -> ExitCode:
    """What the end of a machine's processes means.

    Where several failed, the cause counts and not what followed from it: a process that fails takes those that wait
    for it along.

    Args:
        failures: processes that did not end well; ``None`` where they were not run to an end.
        stopped: whether this machine was told to stop.
        lost: whether another machine has left the gang.
        killed: whether processes that would not end were killed from here.
        hung: whether the gang hung, and it is this machine that says so.
    """
    if failures is not None and not failures:
        return ExitCode.DONE
    codes = [failure.code for failure in failures or []]
    for told in (ExitCode.WRONG_JOB, ExitCode.OUT_OF_MEMORY):
        if told in codes:
            return told
    if hung:
        return ExitCode.CRASHED
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


def sentence(code: ExitCode, failures: Sequence[Failure], hung: str = "") -> str:
    """Why, where the processes themselves could not say it; else empty. ``hung`` says so of a gang that hung."""
    if code == ExitCode.CRASHED and hung:
        return hung
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


def _aborted(failures: Sequence[Failure]) -> bool:
    return any(failure.code == -signal.SIGABRT for failure in failures)


def _killed(failures: Sequence[Failure]) -> list[Failure]:
    return [failure for failure in failures if failure.code == -signal.SIGKILL]
