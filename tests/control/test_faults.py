"""What goes wrong between the operator and the API server, and how it mends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support import kubernetes_api, operator_process
from support.api_proxy import ApiProxy, standing_between
from support.kubectl import Kubectl
from support.kubelets import Fate, Kubelet
from support.kubernetes_api import ApiServer
from support.kubernetes_http import Http
from support.operated_jobs import document, wait_for, wait_for_job
from support.operator_process import Start
from support.ports import free_ports
from support.witness import eventually

pytestmark = pytest.mark.slow


@pytest.fixture
def proxy(cluster: ApiServer) -> Iterator[ApiProxy]:
    with standing_between(cluster) as found:
        yield found


def test_a_restart_writes_nothing(kubectl: Kubectl, http: Http, start: Start, proxy: ApiProxy) -> None:
    names = [f"job-{number}" for number in range(5)]
    with Kubelet(http, kubectl.namespace, lambda _: Fate(code=None)).working():
        with start(url=proxy.url) as operator:
            kubectl.apply(*(document(name) for name in names))
            for name in names:
                wait_for(kubectl, lambda found: found.get("state") == "Running", name)
            assert operator.terminate() == 0
        proxy.writes.clear()
        with start(url=proxy.url) as operator:
            operator.wait_until_it_acts()
            eventually(lambda: operator.metric("mtj_operator_jobs", state="Running") == len(names))
            eventually(lambda: operator.metric("mtj_operator_queue_depth") == 0.0)
            assert operator.terminate() == 0
    assert [str(write) for write in proxy.writes] == []


def test_an_api_server_that_is_away_as_the_operator_starts_is_waited_for(
    kubectl: Kubectl, cluster: ApiServer, start: Start
) -> None:
    kubectl.apply(document())
    (port,) = free_ports(1)
    with start(url=f"http://127.0.0.1:{port}") as operator:
        eventually(lambda: operator.says("cannot be reached"))
        with standing_between(cluster, port):
            wait_for_job(kubectl, "chorales-prepare-1")
            assert operator.terminate() == 0


def test_a_burst_that_the_api_server_throttles_is_written_all_the_same(
    kubectl: Kubectl, start: Start, proxy: ApiProxy
) -> None:
    with start(url=proxy.url) as operator:
        operator.wait_until_it_acts()
        proxy.busy = 3
        kubectl.apply(document())
        wait_for_job(kubectl, "chorales-prepare-1")
        wait_for(kubectl, lambda found: found.get("state") == "Pending")
        assert operator.metric("mtj_operator_api_calls_total", code="429") >= 1.0


def test_watches_that_break_off_are_taken_up_again(kubectl: Kubectl, start: Start, proxy: ApiProxy) -> None:
    with start(url=proxy.url) as operator:
        operator.wait_until_it_acts()
        for name in ("one", "two"):
            proxy.break_watches()
            kubectl.apply(document(name))
            wait_for_job(kubectl, f"{name}-prepare-1")
        assert operator.metric("mtj_operator_missed_events_total") == 0.0


def test_what_a_deaf_watch_missed_is_healed_by_the_resync(kubectl: Kubectl, start: Start, proxy: ApiProxy) -> None:
    with start("--resync-seconds=2", url=proxy.url) as operator:
        kubectl.apply(document("stays"), document("vanishes"))
        wait_for_job(kubectl, "vanishes-prepare-1")
        proxy.deaf = "musictrainingjobs"
        kubectl("delete", "mtj", "vanishes")
        kubectl.apply(document("appears"))
        wait_for_job(kubectl, "appears-prepare-1")
        eventually(lambda: operator.metric("mtj_operator_jobs") == 2.0)
        assert operator.metric("mtj_operator_missed_events_total", kind="musictrainingjobs") >= 1.0


def test_a_deleted_child_that_no_watch_told_of_is_noticed(
    kubectl: Kubectl, http: Http, start: Start, proxy: ApiProxy
) -> None:
    with (
        start("--resync-seconds=2", url=proxy.url) as operator,
        Kubelet(http, kubectl.namespace, lambda _: Fate(code=None)).working(),
    ):
        kubectl.apply(document())
        wait_for(kubectl, lambda found: found.get("state") == "Running")
        before = kubectl.get("job", "chorales-prepare-1")["metadata"]["uid"]
        proxy.deaf = f"namespaces/{kubectl.namespace}/"
        kubectl("delete", "job", "chorales-prepare-1")
        eventually(lambda: operator.metric("mtj_operator_missed_events_total", kind="jobs") >= 1.0, 60)
        eventually(lambda: any(job["metadata"]["uid"] != before for job in kubectl.list("jobs")), 60)


def test_an_operator_whose_watch_stays_deaf_is_unhealthy(kubectl: Kubectl, start: Start, proxy: ApiProxy) -> None:
    with start("--resync-seconds=1", url=proxy.url) as operator:
        operator.wait_until_it_acts()
        assert operator.get("/healthz")[0] == 200
        proxy.deaf = "musictrainingjobs"
        made = 0

        def is_unhealthy() -> bool:
            nonlocal made
            made += 1
            kubectl.apply(document(f"job-{made}"))
            return operator.get("/healthz")[0] == 503

        eventually(is_unhealthy, 120)
        assert "no watch had told" in operator.health()["reasons"][0]


def test_the_api_server_may_be_restarted_below_a_running_operator(tmp_path: Path) -> None:
    with kubernetes_api.running(tmp_path / "server") as server:
        operator_process.install(server)
        kubeconfig = operator_process.service_account(server, tmp_path)
        with operator_process.running(kubeconfig, tmp_path) as operator:
            server.kubectl.apply(document("before"))
            wait_for_job(server.kubectl, "before-prepare-1")
            server.kill()
            server.start()
            server.kubectl.apply(document("after"))
            wait_for_job(server.kubectl, "after-prepare-1")
            assert not operator.has_ended()
            assert operator.get("/healthz")[0] == 200
