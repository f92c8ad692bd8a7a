"""Calls of the API server: thin, bounded, and patient with a server that asks for patience.

It uses the connection pool, certificates and tokens of the official client (``kubernetes.aio``) and leaves out its
models: making an object of classes from every answer costs several times what the call itself does.

Invariant: every call ends, within its timeout times its attempts, but a write may wait for its turn before: those that
are due first (a time of the monotonic clock) go first. No write begins while ``may_write`` says no. Nothing that is
sent or received is ever logged.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from typing import NamedTuple
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration

from mtj_api.contract import MANAGER
from mtj_operator.control.gate import Gate
from mtj_operator.control.metrics import Metrics
from mtj_operator.control.rights import CLUSTER_USES, LEASE_USES, STATUS, USES, Kind, Verb
from mtj_operator.control.snapshots import Key, Raw

PAGE = 500
"""Objects in a page of a list: a few MB of JSON, a few tens of milliseconds to read."""

AT_ONCE = 0.0
"""When a write is due that waits for no other."""

_METHODS: Mapping[Verb, str] = {
    "get": "GET",
    "list": "GET",
    "watch": "GET",
    "create": "POST",
    "update": "PUT",
    "patch": "PATCH",
    "delete": "DELETE",
}
_JSON = "application/json"
_METADATA_ALONE = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_TRANSIENT = frozenset({429, 500, 502, 503, 504})
_ATTEMPTS = 4
_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 30.0
_CALL_SECONDS = 30.0
_CONNECT_SECONDS = 10.0
_FAREWELL_SECONDS = 0.25
"""What aiohttp's documentation gives connections by TLS to say goodbye in: it does not wait for them itself."""

_WRITES = 16
_CONNECTIONS = 32


class ApiError(Exception):
    """The API server refused a call.

    Attributes:
        status: of HTTP.
        reason: Kubernetes' word for it, such as ``AlreadyExists``.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class BusyError(ApiError):
    """The API server asks for patience, or has a fault that may pass.

    Attributes:
        retry_after: seconds that it asks for.
    """

    retry_after = 0.0


class UnreachableError(Exception):
    """The API server did not answer, several times."""


class NotAllowedError(Exception):
    """A write was about to begin in a process that may not act."""


class Page(NamedTuple):
    """A part of a list.

    Attributes:
        items: objects.
        version: that the whole list is of, the same on each page.
    """

    items: list[Raw]
    version: int


class Client:
    """The API server.

    Args:
        configuration: where it is, and as whom (``control/connect.py``).
        metrics: counts each call.
        may_write: whether this process may act now.
    """

    def __init__(
        self, configuration: Configuration, metrics: Metrics, may_write: Callable[[], bool] = lambda: True
    ) -> None:
        configuration.connection_pool_maxsize = _CONNECTIONS
        self._configuration = configuration
        self._api = ApiClient(configuration)
        self._metrics = metrics
        self._may_write = may_write
        self._gate = Gate(_WRITES)

    async def close(self) -> None:
        """Close all connections."""
        await self._api.close()
        await asyncio.sleep(_FAREWELL_SECONDS)

    async def get(self, kind: Kind, key: Key, *, seconds: float = _CALL_SECONDS) -> Raw:
        """An object.

        Raises:
            ApiError: with status 404 where there is none.
            UnreachableError: no answer.
        """
        return await self._call("get", kind, key.namespace, key.name, seconds=seconds)

    async def serves(self, kind: Kind) -> bool:
        """Whether the API server knows the kind.

        Raises:
            ApiError: it does not say.
            UnreachableError: no answer.
        """
        path = f"/apis/{kind.api_version}"
        try:
            found = await self._attempts("get", kind, path, None, _JSON, _JSON, _CALL_SECONDS)
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        return any(one["name"] == kind.plural for one in found["resources"])

    async def pages(
        self,
        kind: Kind,
        namespace: str | None,
        *,
        labels: str = "",
        fields: str = "",
        metadata_alone: bool = False,
    ) -> AsyncIterator[Page]:
        """All objects of a kind; one page at least.

        Args:
            kind: which.
            namespace: ``None`` for all namespaces.
            labels, fields: selectors that they match.
            metadata_alone: whether their specs and statuses may be left out.

        Raises:
            ApiError: with status 410 where the list took so long that it has to begin anew.
            UnreachableError: no answer.
        """
        query = {"limit": str(PAGE), "labelSelector": labels, "fieldSelector": fields}
        while True:
            accept = _METADATA_ALONE if metadata_alone else _JSON
            page = await self._call("list", kind, namespace, query=query, accept=accept)
            yield Page(page["items"] or [], int(page["metadata"]["resourceVersion"]))
            query["continue"] = page["metadata"].get("continue", "")
            if not query["continue"]:
                return

    async def watch(
        self, kind: Kind, namespace: str | None, *, labels: str, since: int, silence: float
    ) -> AsyncGenerator[Raw, None]:
        """What happens to the objects of a kind, as ``{"type": ..., "object": ...}``, until the server ends it.

        Args:
            kind, namespace, labels: which objects, as for ``pages``.
            since: the version after which.
            silence: seconds without a word after which the connection is taken for dead; the server says something
                (a bookmark) every minute.

        Raises:
            ApiError: the watch was refused.
            UnreachableError: it broke off.
        """
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": str(since),
            "timeoutSeconds": str(random.randint(300, 600)),  # noqa: S311 - so that not all end at once
            "labelSelector": labels,
        }
        url = self._url("watch", kind, namespace, "", query)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=silence)
        try:
            response = await self._send("GET", url, None, _JSON, _JSON, timeout)
            async with response:
                self._metrics.calls.labels("watch", kind.plural, response.status).inc()
                if response.status != 200:
                    raise _error(response.status, await response.read())
                try:
                    async for line in response.content:
                        yield _read(line)
                finally:
                    _cut(response)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise UnreachableError(_words(error)) from error

    async def create(self, kind: Kind, body: Raw, *, due: float = AT_ONCE, seconds: float = _CALL_SECONDS) -> Raw:
        """Make an object; the answer of the API server.

        Raises:
            ApiError: with the reason ``AlreadyExists`` where its name is taken.
            UnreachableError: no answer; it may have been made.
            NotAllowedError: this process may not act.
        """
        return await self._call("create", kind, body["metadata"]["namespace"], body=body, due=due, seconds=seconds)

    async def apply(self, kind: Kind, body: Raw, *, due: float = AT_ONCE) -> Raw:
        """Make an object, or make it so again, server-side.

        Raises:
            ApiError: with the reason ``Conflict`` where it is somebody else's.
            UnreachableError: no answer; it may have been made.
            NotAllowedError: this process may not act.
        """
        metadata = body["metadata"]
        return await self._call(
            "patch",
            kind,
            metadata["namespace"],
            metadata["name"],
            query={"fieldManager": MANAGER},
            body=body,
            content="application/apply-patch+yaml",
            due=due,
        )

    async def update(self, kind: Kind, body: Raw, *, seconds: float) -> Raw:
        """Replace an object, if it is still of the version that ``body`` has.

        Raises:
            ApiError: with the reason ``Conflict`` where it is not.
            UnreachableError: no answer; it may have been done.
        """
        metadata = body["metadata"]
        return await self._call("update", kind, metadata["namespace"], metadata["name"], body=body, seconds=seconds)

    async def patch_status(self, key: Key, uid: str, changes: Raw, *, due: float = AT_ONCE) -> Raw:
        """Change the status of a MusicTrainingJob by a merge patch; the answer of the API server.

        Raises:
            ApiError: with status 404 where it is gone, 409 where another has its name.
            UnreachableError: no answer; it may have been done.
            NotAllowedError: this process may not act.
        """
        return await self._merge(STATUS, key, {"metadata": {"uid": uid}, "status": changes}, due)

    async def annotate(
        self, kind: Kind, key: Key, uid: str, annotations: Mapping[str, str | None], *, due: float = AT_ONCE
    ) -> Raw:
        """Set annotations of an object, or remove those that are ``None``; the answer of the API server.

        Nothing depends on them, so that it is tried once.

        Raises:
            ApiError: with status 404 where it is gone, 409 where another has its name.
            UnreachableError: no answer; it may have been done.
            NotAllowedError: this process may not act.
        """
        return await self._merge(
            kind, key, {"metadata": {"uid": uid, "annotations": dict(annotations)}}, due, attempts=1
        )

    async def delete(self, kind: Kind, key: Key, uid: str, *, grace: int | None = None, due: float = AT_ONCE) -> None:
        """Delete an object and what it owns, if it is still this one.

        Args:
            kind, key, uid: which.
            grace: seconds that it may take; its own where ``None``. With 0, nobody has to confirm its end.
            due: when, among other writes.

        Raises:
            ApiError: with status 404 where it is gone, 409 where another has its name.
            UnreachableError: no answer; it may have been done.
            NotAllowedError: this process may not act.
        """
        options: dict[str, object] = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        await self._call("delete", kind, key.namespace, key.name, body=options, due=due)

    async def _merge(self, kind: Kind, key: Key, body: Raw, due: float, attempts: int = _ATTEMPTS) -> Raw:
        content = "application/merge-patch+json"
        return await self._call(
            "patch", kind, key.namespace, key.name, body=body, content=content, due=due, attempts=attempts
        )

    async def _call(
        self,
        verb: Verb,
        kind: Kind,
        namespace: str | None,
        name: str = "",
        *,
        query: Mapping[str, str] | None = None,
        body: Raw | None = None,
        content: str = _JSON,
        accept: str = _JSON,
        due: float = AT_ONCE,
        seconds: float = _CALL_SECONDS,
        attempts: int = _ATTEMPTS,
    ) -> Raw:
        path = self._url(verb, kind, namespace, name, query or {})
        if kind in LEASE_USES:
            return await self._attempt(verb, kind, path, body, content, accept, seconds)
        if verb in ("get", "list"):
            return await self._attempts(verb, kind, path, body, content, accept, seconds)
        async with self._gate.slot(due):
            return await self._attempts(verb, kind, path, body, content, accept, seconds, attempts)

    async def _attempts(
        self,
        verb: Verb,
        kind: Kind,
        path: str,
        body: Raw | None,
        content: str,
        accept: str,
        seconds: float,
        attempts: int = _ATTEMPTS,
    ) -> Raw:
        """A call that is tried again where that can help; each call here may be made twice without harm."""
        pause = _FIRST_PAUSE
        for attempt in range(1, attempts + 1):
            if body is not None and not self._may_write():
                raise NotAllowedError("another replica acts")
            try:
                return await self._attempt(verb, kind, path, body, content, accept, seconds)
            except UnreachableError:
                if attempt == attempts:
                    raise
                wait = 0.0
            except BusyError as error:
                if attempt == attempts:
                    raise
                wait = error.retry_after
            await asyncio.sleep(min(_LONGEST_PAUSE, max(wait, pause)) * random.uniform(1.0, 1.5))  # noqa: S311
            pause *= 2
        raise AssertionError("the last attempt returns or raises")

    async def _attempt(
        self, verb: Verb, kind: Kind, path: str, body: Raw | None, content: str, accept: str, seconds: float
    ) -> Raw:
        began = time.monotonic()
        code = "none"
        try:
            answer = await self._answer(_METHODS[verb], path, body, content, accept, seconds)
            code = "2xx"
        except ApiError as error:
            code = str(error.status)
            raise
        finally:
            self._metrics.calls.labels(verb, kind.plural, code).inc()
            self._metrics.call_seconds.labels(verb).observe(time.monotonic() - began)
        return answer

    async def _answer(self, method: str, path: str, body: Raw | None, content: str, accept: str, seconds: float) -> Raw:
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=min(seconds, _CONNECT_SECONDS))
        try:
            response = await self._send(method, path, body, content, accept, timeout)
            async with response:
                data = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise UnreachableError(_words(error)) from error
        if response.status >= 300:
            raise _error(response.status, data, response.headers.get("Retry-After"))
        return _read(data)

    async def _send(
        self,
        method: str,
        path: str,
        body: Raw | None,
        content: str,
        accept: str,
        timeout: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        headers = {"Accept": accept, "Content-Type": content, "User-Agent": MANAGER}
        for setting in (await self._configuration.auth_settings()).values():
            headers[setting["key"]] = setting["value"]
        url = f"{self._configuration.host}{path}"
        found = await self._api.rest_client.request(method, url, headers, body, _request_timeout=timeout)
        response: aiohttp.ClientResponse = found.response
        return response

    @staticmethod
    def _url(verb: Verb, kind: Kind, namespace: str | None, name: str, query: Mapping[str, str]) -> str:
        allowed = {**USES, **CLUSTER_USES, **LEASE_USES}[kind]
        assert verb in allowed, f"{verb} of {kind.plural} is not in the table of rights"
        wanted = {field: value for field, value in query.items() if value}
        return kind.path(namespace, name) + (f"?{urlencode(wanted)}" if wanted else "")


def _error(status: int, data: bytes, retry_after: str | None = None) -> ApiError:
    try:
        found = json.loads(data)
        reason, message = str(found["reason"]), str(found["message"])
    except (ValueError, KeyError, TypeError):
        reason, message = "", f"the API server answered {status}"
    if status not in _TRANSIENT:
        return ApiError(status, reason, message)
    busy = BusyError(status, reason, message)
    if retry_after is not None and retry_after.isdecimal():
        busy.retry_after = float(retry_after)
    return busy


def _read(data: bytes) -> Raw:
    """An answer; what is none comes from something that stands before the API server."""
    try:
        found: Raw = json.loads(data)
    except ValueError as error:
        raise UnreachableError("the answer is not JSON") from error
    return found


def _cut(response: aiohttp.ClientResponse) -> None:
    """Leave an answer that has no end: a farewell in TLS would outlive the client, as nothing waits for it."""
    transport = response.connection.transport if response.connection is not None else None
    if transport is not None:
        transport.abort()


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
