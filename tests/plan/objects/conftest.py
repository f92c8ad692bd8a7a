"""A namespace of a real API server that admits only pods under Pod Security "restricted"."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pytest

from mtj_operator.plan.objects import Object
from support.kubernetes_api import ApiServer
from support.witness import eventually

NAMESPACE = "restricted"

PATHS = {
    "ConfigMap": f"/api/v1/namespaces/{NAMESPACE}/configmaps",
    "Job": f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs",
    "Pod": f"/api/v1/namespaces/{NAMESPACE}/pods",
    "Service": f"/api/v1/namespaces/{NAMESPACE}/services",
    "Workload": f"/apis/scheduling.k8s.io/v1alpha1/namespaces/{NAMESPACE}/workloads",
}


class Restricted:
    """The namespace. What is sent to it is checked to the last field, and not kept."""

    namespace = NAMESPACE

    def __init__(self, connection: http.client.HTTPSConnection, token: str) -> None:
        self._connection = connection
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def complaints(self, one: Object) -> list[str]:
        """Why the API server does not take an object, or what it warns of."""
        path = f"{PATHS[one['kind']]}?dryRun=All&fieldValidation=Strict"
        self._connection.request("POST", path, json.dumps(one), self._headers)
        with self._connection.getresponse() as response:
            answer: dict[str, Any] = json.loads(response.read())
            warnings = response.headers.get_all("Warning", [])
        return warnings if response.status == http.client.CREATED else [answer["message"]]


@pytest.fixture(scope="session")
def restricted(api_server: ApiServer) -> Iterator[Restricted]:
    """The namespace, with what the jobs of ``tests/plan/data`` expect to be there."""
    kubectl = api_server.kubectl.within(NAMESPACE)
    modes = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": modes}})
    kubectl("create", "serviceaccount", "trainer")
    kubectl("create", "priorityclass", "training", "--value=1")
    eventually(lambda: "default" in kubectl("get", "serviceaccounts", "--output=name"))
    token = json.loads(api_server.kubeconfig.read_text())["users"][0]["user"]["token"]
    trusted = ssl.create_default_context(cafile=str(api_server.certificate))
    with closing(http.client.HTTPSConnection(urlsplit(api_server.url).netloc, context=trusted)) as connection:
        yield Restricted(connection, token)
