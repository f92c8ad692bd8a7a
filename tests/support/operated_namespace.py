"""Fixtures for tests with an operator and no node: a namespace of the test's own, and operators that serve it.

A folder of tests has them by importing them in its ``conftest``, beside a fixture ``cluster`` of its own.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from support import operator_process
from support.kubectl import Kubectl
from support.kubernetes_api import ApiServer
from support.kubernetes_http import Http
from support.operator_process import Operator, Start

__all__ = ["http", "kubectl", "start"]


@pytest.fixture
def http(cluster: ApiServer) -> Http:
    return Http(cluster)


@pytest.fixture
def kubectl(cluster: ApiServer) -> Iterator[Kubectl]:
    """kubectl in a namespace of the test's own, which is gone afterwards."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", name)
    yield cluster.kubectl.within(name)
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def start(cluster: ApiServer, kubectl: Kubectl, tmp_path: Path) -> Start:
    """Starts an operator for the test's namespace, with the rights of its service account."""

    @cache
    def kubeconfig(url: str) -> Path:
        return operator_process.service_account(cluster, tmp_path, url)

    def start(*flags: str, url: str = "", **more: Any) -> AbstractContextManager[Operator]:
        return operator_process.running(kubeconfig(url), tmp_path, f"--namespace={kubectl.namespace}", *flags, **more)

    return start
