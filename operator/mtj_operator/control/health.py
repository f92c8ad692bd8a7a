"""Tells whether the operator does its work: for the kubelet, for Prometheus, and for a person with curl.

Invariant: ``/healthz`` asks what a restart would mend. That the API server does not answer is not among it at first,
that nothing comes of the queue or that a watch is deaf is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

from aiohttp import web
from prometheus_client.exposition import choose_encoder

from mtj_operator.control.cache import Cache
from mtj_operator.control.intake import Intake
from mtj_operator.control.metrics import Metrics
from mtj_operator.control.queue import WorkQueue
from mtj_operator.control.resync import Resync
from mtj_operator.control.snapshots import Key

STUCK = 300.0
"""Age in seconds of the oldest mark from which on nothing seems to come of the queue."""

DEAF = 2
"""Comparisons in a row that found something missed from which on a watch seems dead."""

_ALL_INTERFACES = None
"""The kubelet and Prometheus ask from elsewhere, on some clusters at an address of version 6."""


@dataclass(frozen=True)
class Report:
    """What ``/healthz`` says; ages are in seconds.

    Attributes:
        reasons: why the process should be started anew; empty where all is well.
    """

    leader: bool
    synced: bool
    last_event_age: float
    oldest_queued_age: float
    last_resync_age: float
    reasons: tuple[str, ...]


class Health:
    """The state of the operator's parts, over HTTP.

    Args:
        cache, queue, intake, resync: the parts.
        metrics: what ``/metrics`` serves.
        is_leader: whether this replica acts.
        clock: seconds, monotonic; the same as the parts have.
    """

    def __init__(
        self,
        cache: Cache,
        queue: WorkQueue[Key],
        intake: Intake,
        resync: Resync,
        metrics: Metrics,
        is_leader: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        self._cache = cache
        self._queue = queue
        self._intake = intake
        self._resync = resync
        self._metrics = metrics
        self._is_leader = is_leader
        self._longest_resync = 3 * resync.seconds + 60.0
        self._clock = clock

    async def serve(self, port: int) -> web.AppRunner:
        """Listen, until what is returned is cleaned up.

        Raises:
            OSError: the port is taken.
        """
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._serve_metrics)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        await web.TCPSite(runner, _ALL_INTERFACES, port).start()
        return runner

    def report(self) -> Report:
        """How it stands now."""
        now = self._clock()
        oldest = self._queue.oldest()
        resync_age = now - self._resync.last
        reasons = []
        if oldest > STUCK:
            reasons.append(f"a job has been waiting for a look for {oldest:.0f} s")
        if resync_age > self._longest_resync:
            reasons.append(f"nothing could be compared with the API server for {resync_age:.0f} s")
        if self._resync.deaf >= DEAF:
            reasons.append(f"{self._resync.deaf} comparisons in a row found changes that no watch had told")
        return Report(
            leader=self._is_leader(),
            synced=self._cache.synced,
            last_event_age=round(now - self._intake.last_event, 3),
            oldest_queued_age=round(oldest, 3),
            last_resync_age=round(resync_age, 3),
            reasons=tuple(reasons),
        )

    async def _healthz(self, _: web.Request) -> web.Response:
        report = self.report()
        return web.json_response(asdict(report), status=503 if report.reasons else 200)

    async def _readyz(self, _: web.Request) -> web.Response:
        report = self.report()
        return web.json_response(asdict(report), status=200 if report.synced else 503)

    async def _serve_metrics(self, request: web.Request) -> web.Response:
        report = self.report()
        self._metrics.queue_depth.set(len(self._queue))
        self._metrics.queue_oldest.set(report.oldest_queued_age)
        self._metrics.last_event.set(report.last_event_age)
        self._metrics.leader.set(report.leader)
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self._metrics.registry), headers={"Content-Type": content_type})
