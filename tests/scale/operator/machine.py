"""Whether the machine was the benchmark's own while it ran: on a busy one, seconds mean little."""

from __future__ import annotations

import os
import time

import psutil


class Machine:
    """Looks at the processors from its making on."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._busy, self._own = _busy_seconds(), _own_seconds()

    def share_of_others(self) -> float:
        """The share of all processor time that programs took that the benchmark did not start."""
        others = (_busy_seconds() - self._busy) - (_own_seconds() - self._own)
        return max(0.0, others / ((time.monotonic() - self._began) * (os.cpu_count() or 1)))


def _busy_seconds() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)


def _own_seconds() -> float:
    """Of this process and all that it started, ended or not."""
    own = psutil.Process()
    total = sum(own.cpu_times()[:4])
    for child in own.children(recursive=True):
        total += sum(child.cpu_times()[:2])
    return float(total)
