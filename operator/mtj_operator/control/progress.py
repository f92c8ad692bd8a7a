"""Asks trainings how far they are: the first process of each, now and then, over HTTP.

Invariant: asking harms nothing, and one training's answer harms no other's. What does not answer in time, or answers
nonsense, is asked again the next time.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator

import aiohttp

from mtj_api.contract import IDLE_BELOW, PROGRESS_PATH
from mtj_api.spec import IdleGpus
from mtj_operator.control.cache import Cache
from mtj_operator.control.log import Log
from mtj_operator.control.metrics import Metrics
from mtj_operator.control.snapshots import Key
from mtj_operator.plan.figures import count, figure
from mtj_operator.plan.observed import GpuIdleness, TrainingProgress

TIMEOUT = 2.0
_AT_ONCE = 16
_LONGEST_ANSWER = 64 * 1024
_TRAIN = "train"
_ORDINARY = IdleGpus()


class Progress:
    """Asks all trainings that run.

    Args:
        cache: which do, and where their answers go.
        mark: called with the key of each job that told something new.
        metrics: counts what came of it.
        seconds: between two rounds.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        cache: Cache,
        mark: Callable[[Key], None],
        metrics: Metrics,
        seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._cache = cache
        self._mark = mark
        self._metrics = metrics
        self._seconds = seconds
        self._clock = clock
        self._log = Log("progress")

    async def run(self) -> None:
        """Do it for ever."""
        limits = aiohttp.TCPConnector(limit=_AT_ONCE, force_close=True)
        timeout = aiohttp.ClientTimeout(total=TIMEOUT)
        async with aiohttp.ClientSession(connector=limits, timeout=timeout) as session:
            while True:
                await asyncio.sleep(self._seconds)
                await self.ask(session)

    async def ask(self, session: aiohttp.ClientSession) -> None:
        """Ask each training that runs once."""
        slots = asyncio.Semaphore(_AT_ONCE)
        running = dict(self._running())
        for key in self._cache.progress.keys() - running.keys():
            del self._cache.progress[key]
        await asyncio.gather(*(self._ask(session, slots, key, *where) for key, where in running.items()))

    def _running(self) -> Iterator[tuple[Key, tuple[str, str]]]:
        """The jobs whose first training process runs, each with the Job that runs it and its URL."""
        for entry in self._cache.pods:
            pod = entry.snapshot
            if pod.stage == _TRAIN and pod.index == 0 and pod.phase == "Running" and pod.address and not pod.deleted:
                port, query = self._asked(entry.key)
                host = f"[{pod.address}]" if ":" in pod.address else pod.address
                if port:
                    yield entry.key, (pod.job, f"http://{host}:{port}{PROGRESS_PATH}?{query}")

    def _asked(self, key: Key) -> tuple[int, str]:
        """The port that a job is asked at, 0 for none, and what it is asked."""
        resource = self._cache.resource(key)
        if resource is None:
            return 0, ""
        spec = json.loads(resource.spec)
        port: int = spec.get("monitoring", {}).get("metricsPort", 0)
        policy = spec.get("scheduling", {}).get("idleGpus", {})
        return port, f"{IDLE_BELOW}={policy.get('belowPercent', _ORDINARY.below_percent)}"

    async def _ask(
        self, session: aiohttp.ClientSession, slots: asyncio.Semaphore, key: Key, job: str, url: str
    ) -> None:
        async with slots:
            try:
                async with session.get(url, allow_redirects=False) as response:
                    told = read(await response.content.read(_LONGEST_ANSWER), job, self._clock())
            except (aiohttp.ClientError, TimeoutError) as error:
                self._metrics.polls.labels("unreachable").inc()
                self._log.detail("no answer", job=key, error=error)
                return
            except Exception as error:
                self._metrics.polls.labels("unreadable").inc()
                self._log.fault("could not be asked", error, job=key)
                return
        if told is None:
            self._metrics.polls.labels("unreadable").inc()
            return
        self._metrics.polls.labels("ok").inc()
        self._cache.progress[key] = told
        self._mark(key)


def read(answer: bytes, job: str, now: float) -> TrainingProgress | None:
    """What ``/progress`` says; ``None`` before the first logged step, and for what is no such answer.

    Args:
        answer: the body of the answer.
        job: the Job whose pod answered.
        now: seconds since 1970.
    """
    try:
        told = json.loads(answer)
        step, of = count(told["step"]), count(told["of"])
        checkpoint = told.get("checkpoint") or {}
        checkpoint_step, checkpoint_url = count(checkpoint.get("step")), checkpoint.get("url", "")
        checkpoint_time = checkpoint.get("time", "")
        idle = told.get("gpu_idle") or {}
        below, seconds = count(idle.get("below")), figure(idle.get("seconds"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    if step is None or of is None:
        return None
    return TrainingProgress(
        job=job,
        told=now,
        step=step,
        of=of,
        loss=figure(told.get("loss")),
        tokens_per_second=figure(told.get("tokens_per_second")),
        eta_seconds=figure(told.get("eta_seconds")),
        checkpoint_step=checkpoint_step,
        checkpoint_url=checkpoint_url if isinstance(checkpoint_url, str) else "",
        checkpoint_time=checkpoint_time if isinstance(checkpoint_time, str) else "",
        gpu_idle=GpuIdleness(below, seconds) if below is not None and seconds is not None else None,
    )
