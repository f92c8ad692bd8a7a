"""The API server over HTTP, for what kubectl is too slow for: many calls a second."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from support.kubernetes_api import ApiServer

_MERGE = "application/merge-patch+json"


class Http:
    """Calls with the administrator's rights.

    Args:
        server: the API server.
    """

    def __init__(self, server: ApiServer) -> None:
        self._url = server.url
        self._token = json.loads(server.kubeconfig.read_text())["users"][0]["user"]["token"]
        self._trusted = ssl.create_default_context(cafile=str(server.certificate))

    def __call__(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, content: str = "application/json"
    ) -> dict[str, Any]:
        """What a call answers.

        Raises:
            urllib.error.HTTPError: it was refused.
            OSError: nobody answered.
        """
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": content}
        request = urllib.request.Request(f"{self._url}{path}", data=data, headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=30, context=self._trusted) as response:
            found: dict[str, Any] = json.load(response)
        return found

    def list(self, path: str) -> list[dict[str, Any]]:
        """The objects of a list."""
        items: list[dict[str, Any]] = self("GET", path)["items"]
        return items

    def merge(self, path: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Change parts of an object."""
        return self("PATCH", path, changes, _MERGE)
