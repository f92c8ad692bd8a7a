"""The watch of children on a real API server: nothing is missed, whatever interrupts it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import load_kube_config

from mtj_operator.control import watch
from mtj_operator.control.cache import Cache
from mtj_operator.control.client import Client
from mtj_operator.control.intake import Intake
from mtj_operator.control.metrics import Metrics
from mtj_operator.control.snapshots import Key
from mtj_operator.control.watch import ChildWatch
from support.api_proxy import standing_between
from support.kubectl import Kubectl
from support.kubernetes_api import ApiServer

pytestmark = pytest.mark.slow


def job(name: str, **labels: str) -> dict[str, Any]:
    ours = {"app.kubernetes.io/managed-by": "mtj-operator", "training.discomusica.io/job": "chorales", **labels}
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "a"}]}}
    spec = {"suspend": True, "template": template}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "labels": ours}, "spec": spec}


class Watched:
    """A cache that a watch of Jobs feeds, and the marks that it made."""

    def __init__(self, client: Client, namespace: str) -> None:
        self.key = Key(namespace, "chorales")
        self.cache = Cache()
        self.marks: list[Key] = []
        intake = Intake(self.cache, self._mark, Metrics(), lambda: 0.0)
        self.watch = ChildWatch(client, intake, intake.jobs, namespace)

    def _mark(self, key: Key, *, fresh: bool = True) -> None:
        self.marks.append(key)

    @property
    def names(self) -> list[str]:
        return [found.name for found in self.cache.jobs.of(self.key)]

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not holds():
                await asyncio.sleep(0.02)


@asynccontextmanager
async def watching(kubeconfig: Path, kubectl: Kubectl) -> AsyncIterator[Watched]:
    configuration = Configuration()
    await load_kube_config(config_file=str(kubeconfig), client_configuration=configuration)
    client = Client(configuration, Metrics())
    watched = Watched(client, kubectl.namespace)
    running = asyncio.create_task(watched.watch.run())
    try:
        await asyncio.wait({running, asyncio.create_task(watched.watch.listed.wait())}, return_when="FIRST_COMPLETED")
        yield watched
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await client.close()


async def apply(kubectl: Kubectl, *jobs: dict[str, Any]) -> None:
    await asyncio.to_thread(kubectl.apply, *jobs)


def test_it_lists_what_is_there_and_follows_what_changes(cluster: ApiServer, kubectl: Kubectl) -> None:
    kubectl.apply(job("before"))

    async def follow() -> None:
        async with watching(cluster.kubeconfig, kubectl) as watched:
            assert watched.names == ["before"]
            await apply(kubectl, job("after"))
            await watched.until(lambda: watched.names == ["after", "before"])
            await asyncio.to_thread(kubectl, "delete", "job", "before")
            await watched.until(lambda: watched.names == ["after"])
            assert set(watched.marks) == {watched.key}

    asyncio.run(follow())


def test_jobs_of_others_are_not_read(cluster: ApiServer, kubectl: Kubectl) -> None:
    theirs = job("theirs", **{"app.kubernetes.io/managed-by": "helm"})
    nameless, nobodys = job("nameless", **{"training.discomusica.io/job": ""}), job("nobodys")
    del nobodys["metadata"]["labels"]["training.discomusica.io/job"]
    kubectl.apply(theirs, nameless, nobodys, job("ours"))

    async def follow() -> None:
        async with watching(cluster.kubeconfig, kubectl) as watched:
            assert [entry.name for entry in watched.cache.jobs] == ["ours"]

    asyncio.run(follow())


def test_one_that_began_too_long_ago_lists_anew_and_tells_what_vanished(
    cluster: ApiServer, kubectl: Kubectl, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubectl.apply(job("stays"), job("vanishes"))
    lists = 0
    listing = watch.list_all

    async def list_late(*arguments: Any) -> int:
        """The first list is of a version that the API server no longer knows, and the world has moved on since."""
        nonlocal lists
        lists += 1
        at = await listing(*arguments)
        if lists > 1:
            return at
        await asyncio.to_thread(kubectl, "delete", "job", "vanishes")
        cluster.kill()
        await asyncio.to_thread(cluster.start)  # remembers nothing that was before
        return 1

    monkeypatch.setattr(watch, "list_all", list_late)

    async def follow() -> None:
        async with watching(cluster.kubeconfig, kubectl) as watched:
            await watched.until(lambda: lists == 2)
            await watched.until(lambda: watched.names == ["stays"])

    asyncio.run(follow())


def test_a_connection_that_breaks_costs_nothing(cluster: ApiServer, kubectl: Kubectl, tmp_path: Path) -> None:
    async def follow() -> None:
        with standing_between(cluster) as proxy:
            path = tmp_path / "proxied.kubeconfig"
            path.write_text(cluster.kubeconfig.read_text().replace(cluster.url, proxy.url))
            async with watching(path, kubectl) as watched:
                for number in range(3):
                    proxy.break_watches()
                    await apply(kubectl, job(f"job-{number}"))
                    await watched.until(lambda: len(watched.names) == number + 1)  # noqa: B023 - ends before

    asyncio.run(follow())


def test_a_watch_that_falls_silent_is_taken_up_again(
    cluster: ApiServer, kubectl: Kubectl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "SILENCE", 1.0)

    async def follow() -> None:
        with standing_between(cluster) as proxy:
            path = tmp_path / "proxied.kubeconfig"
            path.write_text(cluster.kubeconfig.read_text().replace(cluster.url, proxy.url))
            async with watching(path, kubectl) as watched:
                proxy.deaf = "/jobs"
                await apply(kubectl, job("unheard"))
                await asyncio.sleep(0.5)
                assert watched.names == []
                proxy.deaf = ""
                await watched.until(lambda: watched.names == ["unheard"])

    asyncio.run(follow())
