"""What a real API server says to a job, asked directly: kubectl takes half a second for each question.

Invariant: nothing is left behind, and unknown fields are refused, as kubectl has them refused.
"""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mtj_api.contract import API_VERSION, GROUP, PLURAL
from support.kubernetes_api import ApiServer

CRD = Path(__file__).parents[2] / "manifests/crd/training.discomusica.io_musictrainingjobs.yaml"

Object = Mapping[str, Any]

_NOT_ALL = "some validation rules were not checked because the object was invalid"
"""What the API server says besides, where a value has a wrong type or is missing."""

_PATH = f"/apis/{API_VERSION}/namespaces/default/{PLURAL}"
_STRICTLY = "fieldValidation=Strict"
_DRY_RUN = f"{_STRICTLY}&dryRun=All"


class Judge:
    """An API server that knows the MusicTrainingJob."""

    def __init__(self, connection: http.client.HTTPSConnection, token: str) -> None:
        self._connection = connection
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def kept(self, job: Object) -> dict[str, Any]:
        """The job as the API server would keep it, with its defaults."""
        status, answer = self._ask("POST", f"{_PATH}?{_DRY_RUN}", job)
        assert status == http.client.CREATED, answer["message"]
        return answer

    def faults(self, job: Object) -> list[str]:
        """Why the job may not be created, each with its field; empty where it may."""
        return _faults(*self._ask("POST", f"{_PATH}?{_DRY_RUN}", job))

    def faults_of_edit(self, before: Object, after: Object) -> list[str]:
        """Why a job that is one thing may not become another."""
        name = before["metadata"]["name"]
        status, there = self._ask("POST", f"{_PATH}?{_STRICTLY}", before)
        assert status == http.client.CREATED, there["message"]
        try:
            edited = {**after, "metadata": there["metadata"]}
            return _faults(*self._ask("PUT", f"{_PATH}/{name}?{_DRY_RUN}", edited))
        finally:
            self._ask("DELETE", f"{_PATH}/{name}", {})

    def _ask(self, method: str, path: str, body: Object) -> tuple[int, dict[str, Any]]:
        self._connection.request(method, path, json.dumps(body), self._headers)
        with self._connection.getresponse() as response:
            return response.status, json.loads(response.read())


@contextmanager
def judging(server: ApiServer) -> Iterator[Judge]:
    """Teach the server the resource, and ask it."""
    server.kubectl.apply(CRD)
    server.kubectl.wait(f"crd/{PLURAL}.{GROUP}", "condition=Established")
    token = json.loads(server.kubeconfig.read_text())["users"][0]["user"]["token"]
    trusted = ssl.create_default_context(cafile=str(server.certificate))
    with closing(http.client.HTTPSConnection(urlsplit(server.url).netloc, context=trusted)) as connection:
        yield Judge(connection, token)


def _faults(status: int, answer: Object) -> list[str]:
    if status < http.client.BAD_REQUEST:
        return []
    causes = answer.get("details", {}).get("causes", ())
    faults = [f"{cause['field']}: {cause['message']}" for cause in causes if _NOT_ALL not in cause["message"]]
    return faults or [answer["message"]]
