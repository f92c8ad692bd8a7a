"""Reading a job, its pods and their logs from an API server."""

from __future__ import annotations

import difflib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration

from mtj_api import JobError
from mtj_api.contract import API_VERSION, CONTAINER, JOB_LABEL, KIND, PLURAL
from mtj_operator.control.snapshots import Raw, pod
from mtj_operator.logs.lines import Line, Position, Splitter
from mtj_operator.plan.observed import PodSnapshot

CONNECTIONS = 32
"""Logs that are read at a time; a few more connections ask for the job and its pods."""

_PIECE = 64 * 1024
"""Bytes that are held of each log before a slow reader makes its server wait."""

_PAGE = 500
_CONNECT_SECONDS = 10.0
_ANSWER_SECONDS = 30.0


class Unreadable(Exception):  # noqa: N818 - what the log is
    """A log, or the cluster, that cannot be read now.

    Attributes:
        status: of HTTP; 0 where there was no answer.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Cluster:
    """One job on an API server.

    Args:
        configuration: where the server is, and as whom.
        namespace: of the job.
        name: of the job.
    """

    def __init__(self, configuration: Configuration, namespace: str, name: str) -> None:
        configuration.connection_pool_maxsize = CONNECTIONS + 4
        configuration.client_session_kwargs = {**(configuration.client_session_kwargs or {}), "read_bufsize": _PIECE}
        self._configuration = configuration
        self._api = ApiClient(configuration)
        self.namespace = namespace
        self.name = name

    async def close(self) -> None:
        """Close all connections."""
        await self._api.close()

    async def job(self) -> Raw:
        """The resource.

        Raises:
            Unreadable: with status 404 where there is none.
        """
        return await self._get(f"{self._jobs}/{self.name}")

    async def pods(self) -> list[PodSnapshot]:
        """The job's pods.

        Raises:
            Unreadable: no list.
        """
        found: list[PodSnapshot] = []
        query = {"labelSelector": f"{JOB_LABEL}={self.name}", "limit": str(_PAGE)}
        while True:
            page = await self._get(f"/api/v1/namespaces/{self.namespace}/pods", query)
            found += [pod(one) for one in page["items"]]
            query["continue"] = page["metadata"].get("continue", "")
            if not query["continue"]:
                return found

    async def log(
        self, name: str, position: Position, *, follow: bool, whole: bool, tail: int | None, seconds: int | None
    ) -> AsyncIterator[list[Line]]:
        """New lines of a pod's log, as they come.

        Args:
            name: of the pod.
            position: how far its log has been read.
            follow: whether to wait for more while its container runs.
            whole: whether the container has ended, so that what has no end of line is a line too.
            tail: how many lines to begin with at most, where nothing was read yet.
            seconds: how old they may be, where nothing was read yet.

        Raises:
            Unreadable: it cannot be read, or broke off.
        """
        query = {"container": CONTAINER, "timestamps": "true", "follow": str(follow).lower()}
        if since := position.begin():
            query["sinceTime"] = since
        else:
            query |= {"tailLines": str(tail)} if tail is not None else {}
            query |= {"sinceSeconds": str(seconds)} if seconds is not None else {}
        splitter = Splitter()
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS)
        path = f"/api/v1/namespaces/{self.namespace}/pods/{name}/log?{urlencode(query)}"
        try:
            async with await self._send(path, timeout) as response:
                if response.status != 200:
                    raise _unreadable(response.status, await response.read())
                async for piece in response.content.iter_any():
                    yield _new(splitter.lines(piece), position)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreadable(0, _words(error)) from error
        if whole:
            yield _new(splitter.rest(), position)

    async def explained(self, error: Unreadable) -> JobError:
        """Why the job itself cannot be read, and what to do."""
        where = f"namespace {self.namespace}"
        if error.status == 0:
            server = self._configuration.host
            return JobError(f"{server} cannot be reached ({error})", instead="check the kubeconfig and the network")
        if error.status == 401:
            return JobError("the cluster does not know you", instead="log in again, or name another kubeconfig")
        if error.status == 403:
            return JobError(
                f"you may not read this: {error}",
                where=where,
                instead=f"ask for the rights to get {PLURAL}, to list pods, and to get pods/log",
            )
        if error.status != 404:
            return JobError(f"the cluster cannot say ({error})", where=where, instead="try again later")
        try:
            there = [one["metadata"]["name"] for one in (await self._get(self._jobs))["items"]]
        except Unreadable:
            return JobError(f"the cluster knows no {KIND}", instead="write 'mtj crd | kubectl apply -f -' once")
        near = difflib.get_close_matches(self.name, there, n=1)
        names = ", ".join(sorted(there)[:5])
        instead = f"did you mean {near[0]}?" if near else f"there is {names}" if names else "name another with -n"
        return JobError(f"there is no {KIND} {self.name}", where=where, instead=instead)

    @property
    def _jobs(self) -> str:
        return f"/apis/{API_VERSION}/namespaces/{self.namespace}/{PLURAL}"

    async def _get(self, path: str, query: Mapping[str, str] | None = None) -> Raw:
        timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS, sock_connect=_CONNECT_SECONDS)
        wanted = {name: value for name, value in (query or {}).items() if value}
        try:
            async with await self._send(f"{path}?{urlencode(wanted)}" if wanted else path, timeout) as response:
                data = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreadable(0, _words(error)) from error
        if response.status != 200:
            raise _unreadable(response.status, data)
        found: Raw = json.loads(data)
        return found

    async def _send(self, path: str, timeout: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        headers = {"Accept": "application/json"}
        for setting in (await self._configuration.auth_settings()).values():
            headers[setting["key"]] = setting["value"]
        found: Any = await self._api.rest_client.request(
            "GET", f"{self._configuration.host}{path}", headers, _request_timeout=timeout
        )
        response: aiohttp.ClientResponse = found.response
        return response


def _new(lines: list[Line], position: Position) -> list[Line]:
    """Those that were not had before.

    Raises:
        Unreadable: one has no time: it is the kubelet's own, which has no log to give.
    """
    for line in lines:
        if not line.time:
            raise Unreadable(0, line.text)
    return [line for line in lines if position.is_new(line)]


def _unreadable(status: int, data: bytes) -> Unreadable:
    try:
        return Unreadable(status, str(json.loads(data)["message"]))
    except (ValueError, KeyError, TypeError):
        return Unreadable(status, f"it answered {status}")


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
