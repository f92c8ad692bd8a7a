"""A stand-in for a kubelet, behind a real API server: it serves logs that a test writes, and breaks off as it is told.

Real kubelets are in ``tests/cluster``; what they do when a connection breaks cannot be told there beforehand. As a
kubelet does, it gives lines from a whole second on, the last so many, and goes on until the container has ended.

Invariant: it listens on 127.0.0.1 alone and in a thread of its own, which ends with the context.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

from support.kubectl import Kubectl

NODE = "stand-in"
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@dataclass
class Log:
    """What a container has written.

    Attributes:
        lines: with the second after noon at which each was written.
        ended: whether it has ended.
        breaks: after so many lines the connection breaks off: a number for each answer.
        lost: status and text of the answer, where the kubelet has no log to give.
    """

    lines: list[tuple[int, str]] = field(default_factory=list)
    ended: bool = False
    breaks: list[int] = field(default_factory=list)
    lost: tuple[int, str] | None = None


class Kubelet:
    """The node's logs by the names of its pods.

    Attributes:
        port: where it listens.
        requests: paths and queries, as they came.
    """

    def __init__(self) -> None:
        self.port = 0
        self.logs: dict[str, Log] = {}
        self.requests: list[str] = []
        self._connections: set[asyncio.Transport] = set()

    def log(self, pod: str) -> Log:
        """The log of a pod."""
        return self.logs.setdefault(pod, Log())

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """One request for a log."""
        self.requests.append(request.path_qs)
        assert request.transport is not None
        self._connections.add(request.transport)
        log, query = self.log(request.match_info["pod"]), request.query
        if log.lost is not None:
            status, text = log.lost
            return web.Response(status=status, text=text)
        response = web.StreamResponse()
        await response.prepare(request)
        since = query.get("sinceTime")
        written = [line for line in log.lines if since is None or _time(line[0])[:19] >= since[:19]]
        sent = len(log.lines) - len(written)
        if "tailLines" in query:
            sent = max(sent, len(log.lines) - int(query["tailLines"]))
        allowed = log.breaks.pop(0) if log.breaks else None
        while True:
            ended = log.ended
            for second, text in log.lines[sent:]:
                if allowed is not None and allowed == 0:
                    request.transport.abort()
                    return response
                await response.write(f"{_time(second)} {text}\n".encode())
                sent += 1
                allowed = None if allowed is None else allowed - 1
            if ended or query.get("follow") != "true":
                return response
            await asyncio.sleep(0.01)

    async def break_off(self) -> None:
        """End every connection; a polite end waits for the other side."""
        for connection in self._connections:
            connection.abort()
        await asyncio.sleep(0.01)


def _time(second: int) -> str:
    return f"{datetime.fromtimestamp(NOON.timestamp() + second, UTC):%Y-%m-%dT%H:%M:%S}.000000000Z"


@contextmanager
def running(folder: Path, kubectl: Kubectl) -> Iterator[Kubelet]:
    """A node of this name, with its kubelet."""
    certificate, key = folder / "kubelet.crt", folder / "kubelet.key"
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=kubelet"]
    subprocess.run([*request, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    kubelet, ready, stop = Kubelet(), threading.Event(), asyncio.Event()

    async def serve() -> None:
        app = web.Application()
        app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", kubelet.answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate, key)
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        kubelet.port = runner.addresses[0][1]
        loop.append(asyncio.get_running_loop())
        ready.set()
        await stop.wait()
        await kubelet.break_off()
        await runner.cleanup()

    loop: list[asyncio.AbstractEventLoop] = []
    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    ready.wait()
    try:
        status = {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet.port}},
        }
        kubectl.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}})
        patch = json.dumps({"status": status})
        kubectl("patch", "node", NODE, "--subresource=status", "--type=merge", f"--patch={patch}")
        yield kubelet
    finally:
        loop[0].call_soon_threadsafe(stop.set)
        thread.join()
