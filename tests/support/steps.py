"""How far a training on a cluster is, as its first process says over HTTP, with the time at which it was seen."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from support.applied_jobs import Training

_EVERY_SECONDS = 0.2


@dataclass(frozen=True)
class Seen:
    """A step that was logged.

    Attributes:
        at: seconds of a monotonic clock.
        pod: whose process said so.
        restarts: how often its container had been started anew.
        step: the newest that it had logged.
    """

    at: float
    pod: str
    restarts: int
    step: int

    @property
    def life(self) -> tuple[str, int]:
        """Tells the process from those before and after it."""
        return self.pod, self.restarts


class StepWatch:
    """Looks at a job's training until it is closed, whatever happens to its pods meanwhile.

    Attributes:
        seen: each step when it was first seen of a process, in order.
    """

    def __init__(self, job: Training) -> None:
        self.seen: list[Seen] = []
        self._job = job
        self._pods: list[dict[str, Any]] = []
        self._closed = threading.Event()
        self._threads = [threading.Thread(target=one, daemon=True) for one in (self._list, self._look)]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> StepWatch:
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        for thread in self._threads:
            thread.join()

    @property
    def step(self) -> int:
        """The newest; 0 before the first."""
        return self.seen[-1].step if self.seen else 0

    def first_after(self, moment: float) -> Seen | None:
        """The first step that was seen after a moment, of a process that had not been seen before it."""
        before = {one.life for one in self.seen if one.at <= moment}
        return next((one for one in self.seen if one.at > moment and one.life not in before), None)

    def reached_before(self, one: Seen) -> int:
        """The newest step that was seen of any process before this one."""
        return max(other.step for other in self.seen if other.at < one.at and other.life != one.life)

    def _list(self) -> None:
        while not self._closed.wait(_EVERY_SECONDS):
            with suppress(Exception):  # the API server may be what is at fault
                self._pods = self._job.pods("train")

    def _look(self) -> None:
        while not self._closed.wait(_EVERY_SECONDS):
            for pod in self._pods:
                address = pod["status"].get("podIP")
                if address and pod["status"]["phase"] == "Running":
                    (container,) = pod["status"]["containerStatuses"]
                    self._ask((pod["metadata"]["name"], int(container["restartCount"])), address)

    def _ask(self, life: tuple[str, int], address: str) -> None:
        with suppress(OSError, ValueError, KeyError):
            with urllib.request.urlopen(f"http://{address}:9640/progress", timeout=1) as answer:
                told = json.load(answer)
            if told["rank"] != 0 or told["loss"] is None:  # before its first, it names the step that it goes on from
                return
            known = [one.step for one in self.seen if one.life == life]
            if not known or told["step"] > known[-1]:
                self.seen.append(Seen(time.monotonic(), *life, told["step"]))
