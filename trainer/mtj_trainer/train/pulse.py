"""What a training process is doing, told to whoever watches it from outside: a line in a small file, ever overwritten.

A process that hangs cannot say so itself: the thread that would may wait for the interpreter, which the stuck one
holds. So each process tells when it goes on, and its supervisor (``watchdog.py``) notices when it does not. Invariant:
telling costs microseconds, waits for nothing and never fails.
"""

from __future__ import annotations

import os
import re
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from mtj_trainer.train.stacks import dump_on_signal

PULSES_ENV = "MTJ_PULSES"
"""Names the folder of a machine's pulses."""

_LINE = 128
"""Bytes of a line; written whole, so that a reader sees one or the other."""


class Phase(StrEnum):
    """What a process is at, from its start to its end."""

    BEGIN = "begin"
    """Start-up, meeting the others, the model, the checkpoint that it goes on from."""
    DATA = "data"
    """Waiting for the batch of the next step."""
    MEET = "meet"
    """Waiting for the other processes at the beginning of a step."""
    COMPUTE = "compute"
    """A step: passes, the exchange of gradients, the optimizer."""
    VALIDATE = "validate"
    """Validation, and keeping the best weights."""
    CHECKPOINT = "checkpoint"
    """Taking down a checkpoint, or waiting for the one before it to be stored."""
    END = "end"
    """Leaving: the last checkpoint and the results are stored."""


@dataclass(frozen=True)
class Beat:
    """What a pulse last told.

    Attributes:
        rank: of the process.
        pid: of the process.
        phase: what it is at.
        step: optimizer steps done.
        count: grows whenever the process goes on.
        since: when it last did, in seconds of the machine's monotonic clock.
        longest: seconds that this phase has taken at most so far, from one such moment to the next, its first time left
            out; 0 before there is another.
    """

    rank: int
    pid: int
    phase: Phase
    step: int
    count: int
    since: float
    longest: float


class Pulse:
    """The pulse of this process.

    Args:
        path: of the file; ``None`` tells nobody.
        rank: this process among all.
        clock: seconds, monotonic, of the whole machine.
    """

    def __init__(self, path: Path | None = None, rank: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self._rank = rank
        self._clock = clock
        self._phase, self._step, self._count, self._since = Phase.BEGIN, 0, 0, clock()
        self._longest: dict[Phase, float] = {}
        self._seconds: dict[Phase, float] = defaultdict(float)
        self._file = None
        if path is not None:
            with suppress(OSError):
                self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._tell()

    def enter(self, phase: Phase, step: int) -> None:
        """The process goes on to a phase, with so many steps done."""
        self._move()
        self._phase, self._step = phase, step
        self._tell()

    def beat(self) -> None:
        """The process has come on within a phase."""
        self._move()
        self._tell()

    @property
    def seconds(self) -> Mapping[Phase, float]:
        """Time spent in each phase that was left."""
        return dict(self._seconds)

    def _move(self) -> None:
        now = self._clock()
        took, self._since = now - self._since, now
        self._count += 1
        self._seconds[self._phase] += took
        before = self._longest.get(self._phase)
        self._longest[self._phase] = 0.0 if before is None else max(took, before)

    def _tell(self) -> None:
        if self._file is None:
            return
        words = (os.getpid(), self._phase, self._step, self._count, self._since, self._longest.get(self._phase, 0.0))
        with suppress(OSError):
            os.pwrite(self._file, " ".join(map(str, words)).ljust(_LINE - 1).encode() + b"\n", 0)


def own_pulse() -> Pulse:
    """The pulse of this process, where whoever started it listens; has it dump its stacks when it is asked to."""
    folder, rank = os.environ.get(PULSES_ENV), int(os.environ.get("RANK", "0"))
    if not folder:
        return Pulse()
    dump_on_signal(Path(folder) / f"{rank}.stacks")  # before the pulse, which tells that it can be asked
    return Pulse(Path(folder) / f"{rank}.pulse", rank)


def feel(folder: Path) -> list[Beat]:
    """The last beats of a machine's processes, by rank; those that have not begun are not among them."""
    found = (_read(path) for path in folder.glob("*.pulse"))
    return sorted((beat for beat in found if beat is not None), key=lambda beat: beat.rank)


def _read(path: Path) -> Beat | None:
    try:
        pid, phase, step, count, since, longest = path.read_text(encoding="ascii").split()
        if re.fullmatch(r"\d+", path.stem) is None:
            return None
        return Beat(int(path.stem), int(pid), Phase(phase), int(step), int(count), float(since), float(longest))
    except (OSError, ValueError):
        return None
