"""For how long GPUs have been idle: NVML asked every few seconds, and what it said kept for every bound at once.

Whoever asks names the bound, so that it may change while training runs. Invariant: watching never harms training; a GPU
that does not tell is not known to be idle.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping

from mtj_trainer.train.gpu import utilizations

EVERY = 5.0
"""Seconds between two samples. One is of the sixth of a second to the second before it, as the GPU has it."""


class IdleTimes:
    """When each GPU was last used how much.

    Invariant: what one GPU was last used for at least p percent of the time at, is never later for a larger p.
    """

    def __init__(self) -> None:
        self._last: dict[str, list[float]] = {}

    def sample(self, now: float, percents: Mapping[str, int]) -> None:
        """Take up what was read; a GPU that is not among it is forgotten.

        Args:
            now: seconds, by a monotonic clock.
            percents: by GPU, the part of the time in which it computed, from 0 to 100.
        """
        self._last = {gpu: self._last.get(gpu, [now] * 101) for gpu in percents}
        for gpu, percent in percents.items():
            for reached in range(min(percent, 100) + 1):
                self._last[gpu][reached] = now

    def seconds(self, below: int, now: float) -> float | None:
        """For how long the GPU that has been idle longest has been used less than ``below`` percent, from 1 to 100.

        ``None`` where no GPU tells. One that is watched since a short while ago has been idle for no longer.
        """
        return max((now - last[below] for last in self._last.values()), default=None)


class IdleWatch:
    """Samples the GPUs that this process sees, in a thread, until it is closed.

    Args:
        read: percent by GPU; empty where none tells.
        every: seconds between two samples.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        read: Callable[[], Mapping[str, int]] = lambda: utilizations(os.environ),
        every: float = EVERY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._every = every
        self._clock = clock
        self._times = IdleTimes()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        threading.Thread(target=self._watch, name="idle-gpus", daemon=True).start()

    def seconds(self, below: int) -> float | None:
        """As of ``IdleTimes``, now."""
        with self._lock:
            return self._times.seconds(below, self._clock())

    def close(self) -> None:
        """Stop watching."""
        self._closed.set()

    def _watch(self) -> None:
        while True:
            percents = self._read()
            with self._lock:
                self._times.sample(self._clock(), percents)
            if not percents or self._closed.wait(self._every):
                return
