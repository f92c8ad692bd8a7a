"""A cluster without nodes, with the operator's rights and Flux; a test has a namespace and a repository of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support import flux as flux_controllers
from support import git_server, kubernetes_api, operator_process
from support.git_server import Repository
from support.kubectl import Kubectl
from support.kubernetes_api import ApiServer
from support.operated_namespace import http, kubectl, start

__all__ = ["cluster", "flux", "http", "kubectl", "repository", "start"]

CONTROLLERS = ("garbage-collector-controller", "job-controller", "namespace-controller", "serviceaccount-controller")


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with kubernetes_api.running(tmp_path_factory.mktemp("gitops"), controllers=CONTROLLERS) as server:
        operator_process.install(server)
        yield server


@pytest.fixture(scope="session")
def flux(cluster: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    """kubectl for the namespace of Flux's controllers, which run."""
    with flux_controllers.running(cluster, tmp_path_factory.mktemp("flux")) as kubectl:
        yield kubectl


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    """An empty repository over HTTP."""
    with git_server.serving(tmp_path / "music") as served:
        yield served
