"""Carrying logs from pods to the user: finished attempts merged by time, running ones as their lines come.

Invariant: no line is written twice and none is left out, whatever breaks between here and the pod, as long as its node
still has the log. When the job has ended, every log is read to its end before this ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from mtj_api.status import JobStatus
from mtj_operator.control import snapshots
from mtj_operator.control.snapshots import Raw
from mtj_operator.logs.lines import Line, Position, merged
from mtj_operator.logs.pods import Choice, chosen, has_ended, has_log, last_attempts
from mtj_operator.logs.source import CONNECTIONS, Cluster, Unreadable
from mtj_operator.plan.observed import PodSnapshot
from mtj_operator.plan.story.reading import remembered

Write = Callable[[PodSnapshot, Sequence[str]], None]
"""Takes lines of a pod."""

Note = Callable[[str], None]
"""Takes a remark that is no part of a log."""

_ATTEMPTS = 5
"""After so many failures in a row, a log that nothing is added to any more is given up."""

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 5.0
_PODS_A_SECOND = 100
"""Pods of a job with many are listed less often, which costs the API server as much as of one with few."""


@dataclass(frozen=True)
class Reading:
    """How the logs are read.

    Attributes:
        choice: which.
        follow: whether to go on, from pod to pod, until the job has ended.
        tail: lines of each log to begin with at most; all where ``None``.
        seconds: how old lines may be to begin with; any age where ``None``.
        pause: seconds between two looks at the job.
    """

    choice: Choice
    follow: bool = False
    tail: int | None = None
    seconds: int | None = None
    pause: float = 1.0


async def read_logs(cluster: Cluster, reading: Reading, write: Write, note: Note) -> bool | None:
    """Read them; whether the job has succeeded, ``None`` where it has not ended.

    Raises:
        Unreadable: the job cannot be read at all.
    """
    reader = _Reader(cluster, reading, write, note)
    try:
        return await reader.read()
    finally:
        await reader.stop()


class _Reader:
    def __init__(self, cluster: Cluster, reading: Reading, write: Write, note: Note) -> None:
        self._cluster = cluster
        self._reading = reading
        self._write = write
        self._note = note
        self._pods: dict[str, PodSnapshot] = {}
        self._old: frozenset[str] | None = None
        self._since: dict[str, int] = {}
        self._begun: set[str] = set()
        self._streams: dict[str, asyncio.Task[None]] = {}
        self._outcome: bool | None = None
        self._said = ""

    async def read(self) -> bool | None:
        """As ``read_logs``."""
        pause = self._reading.pause
        while True:
            try:
                status, pods = await self._look()
                pause = max(self._reading.pause, len(pods) / _PODS_A_SECOND)
            except Unreadable as error:
                if self._old is None or error.status in (401, 403):
                    raise
                if error.status == 404:
                    self._say(f"{self._cluster.name} was deleted")
                    return False
                self._say(f"the cluster does not answer ({error}); trying again")
                await self._wait(_LONGEST_PAUSE)
                continue
            await self._begin(pods)
            if not self._streams and all(pod.name in self._begun for pod in pods if has_log(pod)):
                self._say_status(status, pods)
                if not self._reading.follow or self._outcome is not None:
                    return self._outcome
            await self._wait(pause)

    async def stop(self) -> None:
        """Close every log."""
        for task in self._streams.values():
            task.cancel()
        await asyncio.gather(*self._streams.values(), return_exceptions=True)

    async def _look(self) -> tuple[JobStatus, list[PodSnapshot]]:
        """The job, and after it its pods: when it has ended, no more of them come."""
        status = _status(await self._cluster.job())
        every = await self._cluster.pods()
        self._outcome = _outcome(status)
        self._pods = {pod.name: pod for pod in every}
        if self._old is None:
            self._old = frozenset(pod.name for pod in every if has_log(pod))
            self._since = last_attempts(every)
        return status, chosen(every, self._reading.choice, self._since)

    async def _begin(self, pods: list[PodSnapshot]) -> None:
        """Begin to read the logs that have come to be."""
        for _, group in groupby(pods, key=lambda pod: (pod.stage, pod.attempt)):
            attempt = list(group)
            new = [pod for pod in attempt if has_log(pod) and pod.name not in self._begun]
            if not new:
                continue
            if new[0].attempt > 1 and not any(pod.name in self._begun for pod in attempt):
                self._say(f"{new[0].stage}, attempt {new[0].attempt}")
            if not self._streams and (not self._reading.follow or all(has_ended(pod) for pod in attempt)):
                await self._read_merged(new)
            else:
                self._stream(new)

    async def _read_merged(self, pods: list[PodSnapshot]) -> None:
        for first in range(0, len(pods), CONNECTIONS):
            together = pods[first : first + CONNECTIONS]
            self._begun.update(pod.name for pod in together)
            async for number, line in merged([self._each_line(pod) for pod in together]):
                self._write(together[number], [line.text])

    def _stream(self, pods: list[PodSnapshot]) -> None:
        room = CONNECTIONS - len(self._streams)
        if len(pods) > room:
            self._say(f"{CONNECTIONS} logs are followed at a time; --rank shows that of another pod")
        for pod in pods[:room]:
            self._begun.add(pod.name)
            self._streams[pod.name] = asyncio.create_task(self._write_all(pod))

    async def _write_all(self, pod: PodSnapshot) -> None:
        async for lines in self._lines(pod):
            self._write(pod, [line.text for line in lines])

    async def _each_line(self, pod: PodSnapshot) -> AsyncIterator[Line]:
        async for lines in self._lines(pod):
            for line in lines:
                yield line

    async def _lines(self, pod: PodSnapshot) -> AsyncIterator[list[Line]]:
        """The log of a pod, asked for again until it has ended and nothing more of it comes.

        An API server whose own connection to the kubelet breaks off ends its answer as if the log had ended.
        """
        position, failures, empty, pause = Position(), 0, 0, _FIRST_PAUSE
        is_old = self._old is not None and pod.name in self._old
        while True:
            latest = self._pods.get(pod.name)
            ended = latest is None or has_ended(latest)
            try:
                new = 0
                async for lines in self._cluster.log(
                    pod.name,
                    position,
                    follow=self._reading.follow and not ended,
                    whole=ended,
                    tail=self._reading.tail if is_old else None,
                    seconds=self._reading.seconds if is_old else None,
                ):
                    if lines:
                        new += len(lines)
                        failures, pause = 0, _FIRST_PAUSE
                        yield lines
                empty = 0 if new or not ended else empty + 1
                if not ended and not self._reading.follow:
                    return
                if ended:
                    if empty and (position.is_confirmed or empty == (_ATTEMPTS if position.is_begun else 2)):
                        return
                    continue
            except Unreadable as error:
                failures += 1
                final = ended or not self._reading.follow or self._outcome is not None
                if error.status == 404 or (final and failures >= _ATTEMPTS):
                    if error.status != 404:
                        self._say(f"the log of {pod.stage}[{pod.index}] cannot be read to its end: {error}")
                    return
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, 2 * pause)

    async def _wait(self, seconds: float) -> None:
        """Until that time has passed or a log has come to its end."""
        if not self._streams:
            await asyncio.sleep(seconds)
            return
        done, _ = await asyncio.wait(self._streams.values(), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        self._streams = {name: task for name, task in self._streams.items() if task not in done}
        for task in done:
            task.result()

    def _say_status(self, status: JobStatus, pods: list[PodSnapshot]) -> None:
        """Why there is nothing to read, or how it ended."""
        if status.message and (self._reading.follow or not any(has_log(pod) for pod in pods)):
            self._say(f"{status.state}: {status.message}")

    def _say(self, remark: str) -> None:
        if remark != self._said:
            self._said = remark
            self._note(remark)


def _status(job: Raw) -> JobStatus:
    return remembered(snapshots.resource(job))


def _outcome(status: JobStatus) -> bool | None:
    for condition in status.conditions:
        if condition.type == "Succeeded" and condition.status != "Unknown":
            return condition.status == "True"
    return None
