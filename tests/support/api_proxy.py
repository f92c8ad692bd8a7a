"""Between the operator and the API server: counts writes, breaks off at chosen moments, makes watches deaf."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial

import aiohttp
from aiohttp import web

from support.kubernetes_api import ApiServer
from support.ports import free_ports

_WRITES = ("POST", "PUT", "PATCH", "DELETE")
_HOP_BY_HOP = ("Connection", "Content-Length", "Host", "Keep-Alive", "Transfer-Encoding")


@dataclass(frozen=True)
class Write:
    """A write that the API server has carried out or refused.

    Attributes:
        changed: whether there is something in the cluster that was not so before.
    """

    method: str
    path: str
    status: int
    changed: bool

    def __str__(self) -> str:
        return f"{self.method} {self.path} -> {self.status}"


class ApiProxy:
    """A proxy that is up; it takes HTTP and speaks HTTPS to the server.

    Args:
        server: the API server.
        port: where it listens.

    Attributes:
        url: where it listens.
        writes: all so far, but for those of the lease.
        on_write: called with each, after the server carried it out and before its answer is passed on; may block.
        after_answer: called with each, right after its answer was passed on.
        deaf: part of a path; watches of it stay open, and what they tell is swallowed.
        busy: how many writes more, but for those of the lease, are answered as a server does that has too much to do.
    """

    def __init__(self, server: ApiServer, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.writes: list[Write] = []
        self.on_write: Callable[[Write], None] = lambda _: None
        self.after_answer: Callable[[Write], None] = lambda _: None
        self.deaf = ""
        self.busy = 0
        self._versions: set[str] = set()
        self._server = server
        self._port = port
        self._watches: set[asyncio.Transport] = set()
        self._loop = asyncio.new_event_loop()

    def break_watches(self) -> None:
        """Break off all watches that are open now."""

        def close() -> None:
            for transport in self._watches:
                transport.close()

        self._loop.call_soon_threadsafe(close)

    async def _serve(self, ready: threading.Event, stop: asyncio.Event) -> None:
        trusted = ssl.create_default_context(cafile=str(self._server.certificate))
        connector = aiohttp.TCPConnector(ssl=trusted, limit=0)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False, read_bufsize=2**21) as session:
            app = web.Application(client_max_size=2**24)
            app.router.add_route("*", "/{path:.*}", partial(self._pass, session))
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", self._port).start()
            ready.set()
            await stop.wait()
            await runner.cleanup()

    async def _pass(self, session: aiohttp.ClientSession, request: web.Request) -> web.StreamResponse:
        counts = request.method in _WRITES and "/leases" not in request.path
        if counts and self.busy:
            self.busy -= 1
            return web.json_response({"reason": "TooManyRequests"}, status=429, headers={"Retry-After": "1"})
        headers = {name: value for name, value in request.headers.items() if name not in _HOP_BY_HOP}
        body = await request.read() or None
        url = f"{self._server.url}{request.rel_url}"
        timeout = aiohttp.ClientTimeout(total=None)
        try:
            async with session.request(request.method, url, headers=headers, data=body, timeout=timeout) as answer:
                kept = {name: value for name, value in answer.headers.items() if name not in _HOP_BY_HOP}
                if "watch=true" in request.query_string:
                    return await self._pass_watch(request, answer, kept)
                data = await answer.read()
        except aiohttp.ClientError:
            raise web.HTTPBadGateway from None
        write = Write(request.method, request.path, answer.status, self._is_new(request.method, answer.status, data))
        if counts:
            self.writes.append(write)
            await asyncio.to_thread(self.on_write, write)
        response = web.StreamResponse(status=answer.status, headers=kept)
        response.content_length = len(data)
        with suppress(ConnectionError):  # whoever asked may be dead by now
            await response.prepare(request)
            await response.write(data)
            await response.write_eof()
        if counts:
            self.after_answer(write)
        return response

    def _is_new(self, method: str, status: int, answer: bytes) -> bool:
        """Whether a write left an object in a version that no write before it did."""
        if method not in _WRITES or status >= 300:
            return False
        version = json.loads(answer).get("metadata", {}).get("resourceVersion", "")
        is_new = method == "DELETE" or version not in self._versions
        self._versions.add(version)
        return is_new

    async def _pass_watch(
        self, request: web.Request, answer: aiohttp.ClientResponse, headers: dict[str, str]
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, headers=headers)
        await response.prepare(request)
        assert request.transport is not None
        connection = request.transport
        self._watches.add(connection)
        try:
            with suppress(ConnectionError):
                async for line in answer.content:
                    if not (self.deaf and self.deaf in request.path):
                        await response.write(line)
        finally:
            self._watches.discard(connection)
        return response


@contextmanager
def standing_between(server: ApiServer, port: int = 0) -> Iterator[ApiProxy]:
    """A proxy for the length of the context, on any free port where none is named."""
    proxy = ApiProxy(server, port or free_ports(1)[0])
    ready, stop = threading.Event(), asyncio.Event()
    loop = proxy._loop

    def run() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(proxy._serve(ready, stop))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(30)
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()
