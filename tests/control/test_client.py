"""The client against a real API server, and against one that is too busy, away, or another's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import load_kube_config

from mtj_operator.control.client import ApiError, Client, NotAllowedError, UnreachableError
from mtj_operator.control.metrics import Metrics
from mtj_operator.control.rights import CONFIG_MAP, JOB, LEASE, POD, SERVICE, WORKLOAD, Kind
from mtj_operator.control.snapshots import Key
from support.api_proxy import ApiProxy, standing_between
from support.kubectl import Kubectl
from support.kubernetes_api import ApiServer
from support.ports import free_ports

pytestmark = pytest.mark.slow

T = TypeVar("T")


@pytest.fixture
def proxy(cluster: ApiServer) -> Iterator[ApiProxy]:
    with standing_between(cluster) as found:
        yield found


def with_client(
    kubeconfig: Path,
    does: Callable[[Client], Awaitable[T]],
    *,
    may_write: Callable[[], bool] = lambda: True,
    metrics: Metrics | None = None,
) -> T:
    """What something comes to that is done with a client."""

    async def run() -> T:
        configuration = Configuration()
        await load_kube_config(config_file=str(kubeconfig), client_configuration=configuration)
        client = Client(configuration, metrics or Metrics(), may_write)
        try:
            return await does(client)
        finally:
            await client.close()

    return asyncio.run(run())


def config_map(kubectl: Kubectl, name: str = "one") -> dict[str, Any]:
    metadata = {"name": name, "namespace": kubectl.namespace, "labels": {"of": "the-tests"}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "b"}}


def test_a_name_that_is_taken_is_told_apart(cluster: ApiServer, kubectl: Kubectl) -> None:
    async def twice(client: Client) -> str:
        await client.create(CONFIG_MAP, config_map(kubectl))
        with pytest.raises(ApiError) as refused:
            await client.create(CONFIG_MAP, config_map(kubectl))
        return refused.value.reason

    assert with_client(cluster.kubeconfig, twice) == "AlreadyExists"


def test_an_apply_may_be_made_again_but_takes_nothing_from_others(cluster: ApiServer, kubectl: Kubectl) -> None:
    def service(name: str, app: str) -> dict[str, Any]:
        metadata = {"name": name, "namespace": kubectl.namespace}
        spec = {"clusterIP": "None", "selector": {"app": app}, "ports": [{"port": 80}]}
        return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}

    async def apply(client: Client) -> str:
        first = await client.apply(SERVICE, service("ours", "training"))
        again = await client.apply(SERVICE, service("ours", "training"))
        assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
        kubectl.apply(service("theirs", "shop"))
        with pytest.raises(ApiError) as refused:
            await client.apply(SERVICE, service("theirs", "training"))
        return refused.value.reason

    assert with_client(cluster.kubeconfig, apply) == "Conflict"


def test_a_long_list_comes_in_pages_of_one_version(
    cluster: ApiServer, kubectl: Kubectl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mtj_operator.control.client.PAGE", 2)
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "a"}]}}
    spec = {"suspend": True, "template": template}
    kubectl.apply(
        *({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": f"job-{n}"}, "spec": spec} for n in range(5))
    )

    async def read(client: Client) -> list[tuple[int, int]]:
        return [(len(page.items), page.version) async for page in client.pages(JOB, kubectl.namespace)]

    pages = with_client(cluster.kubeconfig, read)
    assert [count for count, _ in pages] == [2, 2, 1]
    assert len({version for _, version in pages}) == 1


def test_a_throttled_call_waits_and_is_made_again(cluster: ApiServer, kubectl: Kubectl, proxy: ApiProxy) -> None:
    path = proxied(cluster, proxy)
    metrics = Metrics()
    proxy.busy = 2
    made = with_client(path, lambda client: client.create(CONFIG_MAP, config_map(kubectl)), metrics=metrics)
    assert made["metadata"]["name"] == "one"
    assert calls(metrics, "429") == 2
    assert calls(metrics, "2xx") == 1


def test_a_server_that_stays_busy_is_an_error_in_the_end(cluster: ApiServer, kubectl: Kubectl, proxy: ApiProxy) -> None:
    path = proxied(cluster, proxy)
    proxy.busy = 100
    with pytest.raises(ApiError) as refused:
        with_client(path, lambda client: client.create(CONFIG_MAP, config_map(kubectl)))
    assert refused.value.status == 429


def test_an_annotation_is_tried_once(cluster: ApiServer, kubectl: Kubectl, proxy: ApiProxy) -> None:
    path = proxied(cluster, proxy)
    proxy.busy = 1
    with pytest.raises(ApiError) as refused:
        with_client(path, lambda client: client.annotate(POD, Key(kubectl.namespace, "one"), "uid", {"a": "b"}))
    assert refused.value.status == 429


def test_a_server_that_is_away_is_unreachable(cluster: ApiServer, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    path = tmp_path / "kubeconfig"
    path.write_text(cluster.kubeconfig.read_text().replace(cluster.url, f"http://127.0.0.1:{port}"))
    with pytest.raises(UnreachableError):
        with_client(path, lambda client: client.get(JOB, Key("default", "none")))


def test_nothing_is_written_by_a_process_that_may_not_act(cluster: ApiServer, kubectl: Kubectl) -> None:
    with pytest.raises(NotAllowedError):
        with_client(
            cluster.kubeconfig,
            lambda client: client.create(CONFIG_MAP, config_map(kubectl)),
            may_write=lambda: False,
        )
    assert kubectl.list("configmaps", "of=the-tests") == []


def test_a_namesake_is_not_deleted(cluster: ApiServer, kubectl: Kubectl) -> None:
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "a"}]}}
    kubectl.apply(
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "one"}, "spec": {"template": template}}
    )
    with pytest.raises(ApiError) as refused:
        with_client(cluster.kubeconfig, lambda client: client.delete(JOB, Key(kubectl.namespace, "one"), "another"))
    assert refused.value.status == 409


def test_a_right_that_is_in_no_table_is_not_used(cluster: ApiServer) -> None:
    with pytest.raises(AssertionError, match="not in the table"):
        with_client(cluster.kubeconfig, lambda client: client.get(POD, Key("default", "one")))


@pytest.mark.parametrize(
    ("kind", "served"),
    [(WORKLOAD, True), (LEASE, True), (Kind("training.discomusica.io", "v9", "Job", "jobs"), False)],
)
def test_it_knows_what_the_server_serves(cluster: ApiServer, kind: Kind, served: bool) -> None:
    assert with_client(cluster.kubeconfig, lambda client: client.serves(kind)) == served


def proxied(cluster: ApiServer, proxy: ApiProxy) -> Path:
    """The administrator's kubeconfig, for the proxy."""
    path = cluster.kubeconfig.with_name("proxied.kubeconfig")
    path.write_text(cluster.kubeconfig.read_text().replace(cluster.url, proxy.url))
    return path


def calls(metrics: Metrics, code: str) -> float:
    """How many calls ended so."""
    return sum(
        sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "mtj_operator_api_calls_total" and sample.labels["code"] == code
    )
