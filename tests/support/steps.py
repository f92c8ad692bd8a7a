"""How far a training on a cluster is, as its first process says over HTTP, with the time at which it was seen."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from support.applied_jobs import ClusterJob

_EVERY_SECONDS = 0.2
_ATTEMPT = "training.discomusica.io/attempt"


@dataclass(frozen=True)
class Seen:
    """A step that was reported.

    Attributes:
        at: seconds of a monotonic clock.
        pod: whose first process reported it.
        attempt: of the stage.
        step: the newest that it had logged.
    """

    at: float
    pod: str
    attempt: int
    step: int


class StepWatch:
    """Looks at a job's training until it is closed, whatever happens to its pods meanwhile.

    Attributes:
        seen: each step when it was first seen of a pod, in order.
    """

    def __init__(self, job: ClusterJob) -> None:
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
        """The newest of the newest attempt; 0 before the first."""
        return self.seen[-1].step if self.seen else 0

    @property
    def attempt(self) -> int:
        """The newest that has done a step."""
        return self.seen[-1].attempt if self.seen else 0

    def first_after(self, moment: float) -> Seen | None:
        """The first step that was seen after a moment, of a pod that had not been seen before it."""
        before = {one.pod for one in self.seen if one.at <= moment}
        return next((one for one in self.seen if one.at > moment and one.pod not in before), None)

    def reached_before(self, one: Seen) -> int:
        """The newest step that was seen of any pod before this one."""
        return max(other.step for other in self.seen if other.at < one.at and other.pod != one.pod)

    def _list(self) -> None:
        while not self._closed.wait(_EVERY_SECONDS):
            with suppress(Exception):  # the API server may be what is at fault
                self._pods = self._job.pods("train")

    def _look(self) -> None:
        while not self._closed.wait(_EVERY_SECONDS):
            for pod in self._pods:
                address = pod["status"].get("podIP")
                if address and pod["status"]["phase"] == "Running":
                    self._ask(pod["metadata"]["name"], int(pod["metadata"]["labels"][_ATTEMPT]), address)

    def _ask(self, pod: str, attempt: int, address: str) -> None:
        with suppress(OSError, ValueError, KeyError):
            with urllib.request.urlopen(f"http://{address}:9640/progress", timeout=1) as answer:
                step = int(json.load(answer)["step"])
            known = [one.step for one in self.seen if one.pod == pod]
            if not known or step > known[-1]:
                self.seen.append(Seen(time.monotonic(), pod, attempt, step))
