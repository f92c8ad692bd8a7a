"""Puts the operator together, starts it, and ends it.

Two replicas start alike: both fill their cache and keep it up to date; the one that holds the lease takes keys.
Invariant: whatever part ends, the process ends: with 0 when it was told to stop, having let looks under way end and
given the lease back; with 1 otherwise, so that whoever runs it starts it again.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

import kopf
from aiohttp import web
from kubernetes.aio.client import Configuration

from mtj_api import JobError
from mtj_api.contract import ExitCode
from mtj_operator.control import connect, handlers, log
from mtj_operator.control.cache import Cache
from mtj_operator.control.client import ApiError, BusyError, Client, UnreachableError
from mtj_operator.control.health import Health
from mtj_operator.control.intake import Intake
from mtj_operator.control.lease import Lease, LostError
from mtj_operator.control.log import Log
from mtj_operator.control.metrics import Metrics
from mtj_operator.control.nodes import Nodes
from mtj_operator.control.progress import Progress
from mtj_operator.control.queue import WorkQueue
from mtj_operator.control.reconcile import Reconciler
from mtj_operator.control.refusals import Refusals
from mtj_operator.control.resync import Resync
from mtj_operator.control.rights import RESOURCE, WORKLOAD
from mtj_operator.control.settings import Settings, add_arguments, from_arguments
from mtj_operator.control.snapshots import NO_STATUS, Key
from mtj_operator.control.watch import ChildWatch
from mtj_operator.control.workers import Workers
from mtj_operator.plan.settings import ClusterSettings
from mtj_operator.plan.story import decide

_CRD_PAUSE = 2.0
"""Seconds between two looks for the resource where it is not there yet: kopf looks once."""

_AWAY_PAUSE = 5.0
"""Seconds between two calls of an API server that is away or busy as this begins."""

T = TypeVar("T")

DESCRIPTION = "Runs the MusicTrainingJobs of a Kubernetes cluster."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the operator with flags (``sys.argv`` by default); its exit status."""
    parser = argparse.ArgumentParser(prog="python -m mtj_operator.control", description=DESCRIPTION)
    add_arguments(parser)
    try:
        return run(from_arguments(parser.parse_args(arguments)))
    except JobError as error:
        print(error, file=sys.stderr)
        return ExitCode.WRONG_JOB


def run(settings: Settings) -> int:
    """Run the operator until it is told to stop (SIGTERM, SIGINT) or cannot go on; its exit status.

    Raises:
        JobError: no cluster is configured, it cannot be asked, or the port is taken.
    """
    log.set_up(json_lines=settings.json_logs, verbose=settings.verbose)
    return asyncio.run(_operate(settings))


async def _operate(settings: Settings) -> int:
    stop = asyncio.Event()
    _heed_signals(stop)
    replica = _Replica(settings, await connect.configuration())
    try:
        return await replica.run(stop)
    finally:
        await replica.close()


def _heed_signals(stop: asyncio.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)


class _Replica:
    """All parts.

    Args:
        settings: by flags.
        configuration: the API server.
    """

    def __init__(self, settings: Settings, configuration: Configuration) -> None:
        clock = time.monotonic
        self._settings = settings
        self._configuration = configuration
        self._namespaces: list[str | None] = list(settings.namespaces) or [None]
        self._log = Log("operator")
        self._metrics = Metrics()
        self._cache = Cache()
        self._queue: WorkQueue[Key] = WorkQueue(clock)
        self._lease_client = Client(configuration, self._metrics)
        self._lease = Lease(self._lease_client, settings.lease_namespace, settings.identity, clock)
        self._client = Client(configuration, self._metrics, self._lease.is_held)
        self._intake = Intake(self._cache, self._mark, self._metrics, clock)
        self._resync = Resync(
            self._client, self._intake, self._namespaces, self._metrics, settings.resync_seconds, clock
        )
        self._health = Health(
            self._cache, self._queue, self._intake, self._resync, self._metrics, self._lease.is_held, clock
        )
        self._watches = {
            feed: [ChildWatch(self._client, self._intake, feed, one) for one in self._namespaces]
            for feed in (self._intake.jobs, self._intake.pods)
        }
        self._acting = asyncio.Event()
        self._kopf_stop = asyncio.Event()

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()
        await self._lease_client.close()

    async def run(self, stop: asyncio.Event) -> int:
        """Do everything until told to stop or until a part ends; the exit status.

        Raises:
            JobError: the port is taken, or the API server refuses to say what it serves.
        """
        server = await self._serve()
        try:
            workers = await _unless(stop, self._workers())
            if workers is not None:
                await self._work(workers, stop)
        finally:
            await server.cleanup()
        self._log.say("stopped")
        return ExitCode.DONE if stop.is_set() else ExitCode.CRASHED

    async def _serve(self) -> web.AppRunner:
        port = self._settings.port
        try:
            return await self._health.serve(port)
        except (OSError, OverflowError) as error:
            raise JobError(f"{port} cannot be listened on ({error})", where="--port", instead="name another") from None

    async def _work(self, workers: Workers, stop: asyncio.Event) -> None:
        """Run all parts until told to stop or until one ends."""
        progress = Progress(self._cache, self._mark, self._metrics, self._settings.progress_seconds)
        refusals = Refusals(self._cache, self._client, self._mark)
        nodes = Nodes(self._cache, self._client, self._mark)
        acts = [self._once_acting(part) for part in (workers.run, progress.run, refusals.run, nodes.run)]
        feeds = [self._resync.run(), *(watch.run() for watches in self._watches.values() for watch in watches)]
        parts = [asyncio.create_task(part) for part in (*acts, *feeds, self._lead())]
        events = asyncio.create_task(self._run_kopf(stop))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({*parts, events, stopping}, return_when=asyncio.FIRST_COMPLETED)
            failure = next((part.exception() for part in (*parts, events) if part.done()), None)
            if isinstance(failure, LostError):
                self._log.warn("stops at once", why=failure)
                os._exit(ExitCode.CRASHED)
            if failure is not None:
                self._log.fault("cannot go on", failure)
        finally:
            await _cancel(parts)
            await workers.finish()
            await self._lease.release()
            self._kopf_stop.set()
            await asyncio.gather(events, return_exceptions=True)
            await _cancel([stopping])

    async def _workers(self) -> Workers:
        gangs = await self._serves_gangs()
        cluster = ClusterSettings(
            trainer_image=self._settings.trainer_image,
            storage_secret=self._settings.storage_secret,
            job_defaults=self._settings.job_defaults,
            gangs=gangs,
        )
        reconciler = Reconciler(self._cache, self._intake, self._client, decide, cluster, self._metrics)
        return Workers(self._queue, reconciler, self._settings.workers, self._metrics)

    async def _serves_gangs(self) -> bool:
        """Whether the API server knows gangs. One that is away or busy is waited for here: a pod that ended would be
        started again by the kubelet up to five minutes late.
        """
        server = self._configuration.host
        while True:
            try:
                return await self._client.serves(WORKLOAD)
            except UnreachableError as error:
                what = f"{server} cannot be reached ({error}); check the kubeconfig and the network; tries again"
                self._log.warn(what)
            except BusyError as error:
                self._log.warn(f"{server} does not say yet what it serves ({error}); tries again")
            except ApiError as error:
                what = f"{server} does not say what it serves ({error})"
                raise JobError(what, instead="check the kubeconfig and its rights") from None
            await asyncio.sleep(_AWAY_PAUSE)

    async def _lead(self) -> None:
        """Wait until this replica is to act, have every job looked at, and hold on to the lease."""
        for feed, watches in self._watches.items():
            for watch in watches:
                await watch.listed.wait()
            feed.store.synced = True
        await self._lease.acquire()
        self._acting.set()
        for key in list(self._cache.resources.keys()):
            self._mark(key, fresh=False)
        await self._lease.keep()

    async def _once_acting(self, part: Callable[[], Awaitable[None]]) -> None:
        await self._acting.wait()
        await part()

    async def _run_kopf(self, stop: asyncio.Event) -> None:
        """Feed the jobs themselves. kopf takes the signals for itself as it starts: they are taken back."""
        while not await self._client.serves(RESOURCE):
            self._log.warn("waits for the CustomResourceDefinition", name=f"{RESOURCE.plural}.{RESOURCE.group}")
            await _unless(stop, asyncio.sleep(_CRD_PAUSE))
            if stop.is_set():
                return
        ready = asyncio.Event()
        kopf_runs = kopf.operator(
            registry=handlers.registry(self._intake, self._configuration),
            settings=handlers.settings(),
            standalone=True,
            clusterwide=self._namespaces == [None],
            namespaces=self._settings.namespaces,
            stop_flag=self._kopf_stop,
            ready_flag=ready,
        )
        running = asyncio.create_task(kopf_runs)
        await asyncio.wait({running, asyncio.create_task(ready.wait())}, return_when=asyncio.FIRST_COMPLETED)
        _heed_signals(stop)
        await running

    def _mark(self, key: Key, *, fresh: bool = True) -> None:
        """Have a job looked at, where this replica acts; the one that begins to act looks at all.

        One without a status was made while nobody acted. It goes before the thousands that are only looked at again.
        """
        if self._acting.is_set():
            resource = self._cache.resource(key)
            self._metrics.marks.inc()
            self._queue.mark(key, fresh=fresh or (resource is not None and resource.status == NO_STATUS))


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """What comes of the work; nothing where it was told to stop before that."""
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return None if stop.is_set() else await working
    finally:
        await _cancel([working, stopping])


async def _cancel(tasks: Sequence[asyncio.Task[object]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
