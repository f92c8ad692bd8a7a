"""What every executor promises, and what a stage's end means to the user."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Protocol

from mtj_api.contract import ExitCode
from mtj_operator.plan import Plan

GOES_ON = "the same command goes on where it stopped"


@dataclass(frozen=True)
class Outcome:
    """How a plan ended.

    Attributes:
        code: by the contract of ``mtj_api.contract``.
        stage: the stage that did not get done; empty when all did.
        sentence: why, in one sentence; empty when all is done.
    """

    code: ExitCode
    stage: str = ""
    sentence: str = ""


class Executor(Protocol):
    """Runs the stages of a plan, each after all that it needs, and stops at the first that fails.

    An executor is for one run. A rerun, by a new one, runs every stage again, which does what is missing.
    """

    def run(self, plan: Plan) -> Outcome:
        """Carry the plan out. Nothing of it is left running afterwards, whatever the outcome."""

    def stop(self) -> None:
        """From a signal handler or another thread: stop with everything saved; a second call stops at once."""


DONE = Outcome(ExitCode.DONE)


def stage_outcome(stage: str, status: int, sentence: str, *, asked_to_stop: bool) -> Outcome:
    """What the end of a stage means.

    Args:
        stage: its name.
        status: its exit status, or minus the number of the signal that ended it.
        sentence: what it left in its termination log.
        asked_to_stop: whether this was on request.
    """
    if status == ExitCode.DONE:
        return DONE
    if status == ExitCode.WRONG_JOB:
        return Outcome(ExitCode.WRONG_JOB, stage, sentence or "the job or its data cannot work as written")
    if status == ExitCode.OUT_OF_MEMORY and not asked_to_stop:
        return Outcome(ExitCode.OUT_OF_MEMORY, stage, sentence or "memory ran out")
    if asked_to_stop:
        return Outcome(ExitCode.INTERRUPTED, stage, f"stopped; {GOES_ON}")
    if status == ExitCode.INTERRUPTED:
        return Outcome(ExitCode.INTERRUPTED, stage, f"something told it to stop, and it saved its work; {GOES_ON}")
    if sentence:
        return Outcome(ExitCode.CRASHED, stage, f"{sentence}; {GOES_ON}")
    if status < 0:
        return Outcome(ExitCode.CRASHED, stage, f"it was ended by {_signal_name(-status)}; {GOES_ON}")
    return Outcome(ExitCode.CRASHED, stage, f"it failed with exit status {status} (see above); {GOES_ON}")


def _signal_name(number: int) -> str:
    if number == signal.SIGKILL:
        return "SIGKILL, which the system also sends when memory runs out"
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
