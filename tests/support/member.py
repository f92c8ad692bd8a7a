"""A training process that only acts: what launchers start in tests of them.

    python -m support.member FOLDER PART PART ...

Each rank plays its part once all have begun:

    done       ends well
    CODE       ends with this exit status
    kill       is ended by SIGKILL
    save       works until it is told to stop, takes a moment to save, and ends with 75
    work       works until it is told to stop, and is ended by that
    deaf       works, and does not listen
    follow     works until another rank has failed, and a little later ends with 69, as training does
    abort      works until a machine is lost, and is ended by SIGABRT, as NCCL does
    replaced   ends with 69 and says why, as where a later run has its checkpoints
    late-CODE  does something wrong, and is slow to leave: the others notice before

and with a pulse, as training has one:

    sleep      waits for data that never comes
    hold       never comes back from a call that holds the interpreter
    stop       is stopped in the midst of a step
    meet       waits for others
    slow       does some steps that take their time, and ends well
    meet-slow  waits for others while these do so

None outlives what has started it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from pathlib import Path

from mtj_trainer.train.pulse import Phase, own_pulse

HELD_SECONDS = 120
SLOW_STEPS, SLOW_SECONDS = 40, 0.25
SAVING_SECONDS = 1.0
FOLLOWING_SECONDS = 3.0


PULSED = ("sleep", "hold", "stop", "meet", "slow", "meet-slow")


def pulsed(part: str, folder: Path, parent: int) -> int:
    """Play a part with a pulse."""
    pulse = own_pulse()
    for step in range(3):  # what takes its time the first time is behind it
        for phase in (Phase.DATA, Phase.MEET, Phase.COMPUTE):
            pulse.enter(phase, step)
    if part == "sleep":
        pulse.enter(Phase.DATA, 3)
        data_that_never_comes(parent)
    if part == "hold":
        pulse.enter(Phase.COMPUTE, 3)
        call_that_never_returns()
    if part == "stop":
        pulse.enter(Phase.COMPUTE, 3)
        os.kill(os.getpid(), signal.SIGSTOP)
    if part == "slow":
        for step in range(SLOW_STEPS):
            pulse.enter(Phase.COMPUTE, step)
            time.sleep(SLOW_SECONDS)
        (folder / "slow-done").touch()
        return 0
    pulse.enter(Phase.MEET, 3)
    while os.getppid() == parent and (part != "meet-slow" or not (folder / "slow-done").exists()):
        time.sleep(0.02)
    return 0


def call_that_never_returns() -> None:
    """As a fault in a library: it keeps the interpreter, so that no thread of the process can do anything."""
    ctypes.PyDLL(None).sleep(HELD_SECONDS)


def data_that_never_comes(parent: int) -> None:
    """By its name it is known in a stack."""
    while os.getppid() == parent:
        time.sleep(0.1)


def main(folder: Path, parts: list[str]) -> int:
    """Play the part of this process's rank."""
    rank, parent = int(os.environ["RANK"]), os.getppid()
    told = False

    def tell(_number: int, _frame: object) -> None:
        nonlocal told
        told = True

    signal.signal(signal.SIGTERM, tell)
    (folder / f"began-{rank}").touch()
    while len(list(folder.glob("began-*"))) < len(parts) and os.getppid() == parent:
        time.sleep(0.02)
    part = parts[rank]
    if part in PULSED:
        return pulsed(part, folder, parent)
    if part == "work":
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if part == "kill":
        (folder / "failed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    while os.getppid() == parent and (
        part in ("work", "deaf")
        or (part == "save" and not told)
        or (part == "follow" and not (folder / "failed").exists())
        or (part == "abort" and not (folder / "lost").exists())
    ):
        time.sleep(0.02)
    if part == "abort":
        os.abort()
    if part == "follow":
        time.sleep(FOLLOWING_SECONDS)
    if part == "save":
        time.sleep(SAVING_SECONDS)
        (folder / f"saved-{rank}").touch()
    if part == "replaced":
        (folder / "failed").touch()
        from mtj_trainer.stage import leave_sentence  # the other parts begin sooner without it

        leave_sentence("a later run has taken over")
    if part.startswith("late-"):
        (folder / "failed").touch()
        time.sleep(SAVING_SECONDS)
    codes = {"done": 0, "save": 75, "follow": 69, "replaced": 69, "work": 1, "deaf": 1}
    return codes[part] if part in codes else int(part.removeprefix("late-"))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
