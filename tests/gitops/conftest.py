"""A cluster without nodes, with the operator's rights and Flux; a test has a namespace and a repository of its own."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from support import flux as flux_controllers
from support import git_server, kubernetes_api, operator_process
from support.git_server import Repository
from support.kubectl import Kubectl
from support.kubernetes_api import ApiServer
from support.kubernetes_http import Http
from support.operator_process import Operator, Start

CONTROLLERS = ("garbage-collector-controller", "job-controller", "namespace-controller", "serviceaccount-controller")


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with kubernetes_api.running(tmp_path_factory.mktemp("gitops"), controllers=CONTROLLERS) as server:
        operator_process.install(server)
        yield server


@pytest.fixture
def http(cluster: ApiServer) -> Http:
    return Http(cluster)


@pytest.fixture(scope="session")
def flux(cluster: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    """kubectl for the namespace of Flux's controllers, which run."""
    with flux_controllers.running(cluster, tmp_path_factory.mktemp("flux")) as kubectl:
        yield kubectl


@pytest.fixture
def kubectl(cluster: ApiServer) -> Iterator[Kubectl]:
    """kubectl in a namespace of the test's own, which is gone afterwards."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", name)
    yield cluster.kubectl.within(name)
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    """An empty repository over HTTP."""
    with git_server.serving(tmp_path / "music") as served:
        yield served


@pytest.fixture
def start(cluster: ApiServer, kubectl: Kubectl, tmp_path: Path) -> Start:
    """Starts an operator for the test's namespace, with the rights of its service account."""
    kubeconfig = operator_process.service_account(cluster, tmp_path)

    def start(*flags: str, **more: Any) -> AbstractContextManager[Operator]:
        return operator_process.running(kubeconfig, tmp_path, f"--namespace={kubectl.namespace}", *flags, **more)

    return start
