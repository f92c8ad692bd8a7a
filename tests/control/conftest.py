"""A cluster without nodes, with the operator's rights as they ship; a test works in a namespace of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support import kubernetes_api, operator_process
from support.kubernetes_api import ApiServer
from support.operated_namespace import http, kubectl, start

__all__ = ["cluster", "http", "kubectl", "start"]

CONTROLLERS = (
    "clusterrole-aggregation-controller",
    "garbage-collector-controller",
    "job-controller",
    "namespace-controller",
    "resourcequota-controller",
    "serviceaccount-controller",
)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with kubernetes_api.running(tmp_path_factory.mktemp("control"), controllers=CONTROLLERS) as server:
        operator_process.install(server)
        yield server
