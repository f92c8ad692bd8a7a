"""The API server as the benchmark reads and writes it: bare HTTP over a fixed number of connections.

Invariant: nothing is retried and nothing is hidden: an answer that is not a success ends the benchmark.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import aiohttp

Object = dict[str, Any]
Item = TypeVar("Item")

CONNECTIONS = 16
"""Of every writer in the benchmark: what a burst comes over, and the writes of the API server's own limit."""

_PLURALS = {"MusicTrainingJob": "musictrainingjobs"}
_NAMES_ALONE = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_LIST_OF_NAMES = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


class RefusedError(Exception):
    """The API server did not do what it was asked for."""


def path_of(api_version: str, kind: str, namespace: str, name: str = "") -> str:
    """Where the API server has an object, or with no name the collection that it is in."""
    root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    plural = _PLURALS.get(kind, f"{kind.lower()}s")
    return f"{root}/namespaces/{namespace}/{plural}" + (f"/{name}" if name else "")


class Api:
    """A client with the rights of a kubeconfig of the tests, to be used as an asynchronous context."""

    def __init__(self, kubeconfig: Path) -> None:
        config = json.loads(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        trusted = ssl.create_default_context(cafile=cluster["certificate-authority"])
        self._session = aiohttp.ClientSession(
            cluster["server"],
            headers={"Authorization": f"Bearer {user['token']}"},
            connector=aiohttp.TCPConnector(limit=CONNECTIONS + 4, ssl=trusted),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=60),
        )

    async def __aenter__(self) -> Api:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def request(self, method: str, path: str, body: str | None = None, content: str = "application/json") -> str:
        """The answer's text.

        Raises:
            RefusedError: it is not a success.
        """
        async with self._session.request(method, path, data=body, headers={"Content-Type": content}) as answer:
            text = await answer.text()
            if answer.status >= 300:
                raise RefusedError(f"{method} {path}: {answer.status} {text[:1000]}")
            return text

    async def create(self, document: Object) -> Object:
        """The object that the API server made of a document."""
        path = path_of(document["apiVersion"], document["kind"], document["metadata"]["namespace"])
        made: Object = json.loads(await self.request("POST", path, json.dumps(document)))
        return made

    async def patch_status(self, document: Object, status: Object) -> None:
        """Merge into the status of an object, of which only kind, namespace and name matter here."""
        metadata = document["metadata"]
        path = path_of(document["apiVersion"], document["kind"], metadata["namespace"], metadata["name"])
        body = json.dumps({"status": status})
        await self.request("PATCH", f"{path}/status", body, "application/merge-patch+json")

    async def names(self, api_version: str, kind: str, namespace: str) -> tuple[set[str], str]:
        """Names of the objects of a kind, and the version of the list that a watch can begin at."""
        url = path_of(api_version, kind, namespace)
        async with self._session.get(url, headers={"Accept": _LIST_OF_NAMES}) as answer:
            found = json.loads(await answer.text())
        return {item["metadata"]["name"] for item in found["items"] or ()}, found["metadata"]["resourceVersion"]

    async def items(self, api_version: str, kind: str, namespace: str, query: str = "") -> list[Object]:
        """The objects of a kind."""
        found = json.loads(await self.request("GET", path_of(api_version, kind, namespace) + query))
        items: list[Object] = found["items"]
        return [{"apiVersion": api_version, "kind": kind, **item} for item in items]

    async def delete_all(self, api_version: str, kind: str, namespace: str) -> None:
        """Delete the objects of a kind; no garbage collector follows."""
        path = path_of(api_version, kind, namespace)
        await self.request("DELETE", f"{path}?propagationPolicy=Background")

    @asynccontextmanager
    async def watch(self, api_version: str, kind: str, namespace: str) -> AsyncIterator[AsyncIterator[tuple[str, str]]]:
        """What happens to objects from the entry of the context on, such as ``("ADDED", NAME)``, as the server tells.

        The server is asked for names alone, so that watching costs little beside what is measured.
        """
        _, version = await self.names(api_version, kind, namespace)
        url = f"{path_of(api_version, kind, namespace)}?watch=true&resourceVersion={version}"
        async with self._session.get(url, headers={"Accept": _NAMES_ALONE}) as stream:
            yield _events(stream.content)


async def _events(lines: aiohttp.StreamReader) -> AsyncIterator[tuple[str, str]]:
    while line := await lines.readline():
        event = json.loads(line)
        if event["type"] == "ERROR":
            raise RefusedError(str(event["object"]))
        yield event["type"], event["object"]["metadata"]["name"]
    raise RefusedError("the API server ended a watch")


async def over_connections(
    work: Callable[[Item], Awaitable[object]], items: Iterable[Item], connections: int = CONNECTIONS
) -> None:
    """Do ``work`` for each item in order, so many at a time."""
    left = iter(items)

    async def one_connection() -> None:
        for item in left:
            await work(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(one_connection())
