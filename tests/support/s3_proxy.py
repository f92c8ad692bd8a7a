"""Between the trainer and the S3 server: what a network and a busy or hostile server do to requests."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from typing import cast
from urllib.parse import urlsplit

from support.ports import free_ports
from support.seaweedfs import S3Server


class Fault(Enum):
    """What becomes of a request."""

    NONE = "it is passed on"
    AWAY = "the connection is closed without an answer"
    BUSY = "503 Slow Down"
    DENIED = "403 Access Denied"
    FULL = "403 Quota Exceeded, as Ceph answers when a bucket's quota is used up"
    CUT = "the connection is closed in the middle of the larger of its body and that of its answer"
    SLOW = "it is passed on in small pieces with pauses between them"


_ANSWERS = {
    Fault.BUSY: ("503 Slow Down", "SlowDown"),
    Fault.DENIED: ("403 Forbidden", "AccessDenied"),
    Fault.FULL: ("403 Forbidden", "QuotaExceeded"),
}
_PIECE, _PAUSE_SECONDS = 64 << 10, 0.001


class S3Proxy(socketserver.ThreadingTCPServer):
    """A proxy that is up. Each connection carries one request.

    Args:
        server: what is passed on goes there.
        port: where it listens.

    Attributes:
        endpoint: its URL.
        fault: what becomes of requests from now on.
        left: how many more; all if ``None``.
        only: those whose first line begins so.
        hit: how many had a fault so far.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, server: S3Server, port: int) -> None:
        self.endpoint = f"http://127.0.0.1:{port}"
        self.upstream = urlsplit(server.endpoint)
        self.fault = Fault.NONE
        self.left: int | None = None
        self.only = ""
        self.hit = 0
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", port), _Connection)

    def break_with(self, fault: Fault, *, left: int | None = None, only: str = "") -> None:
        """See the attributes."""
        with self._lock:
            self.fault, self.left, self.only = fault, left, only

    def fault_of(self, line: str) -> Fault:
        """What becomes of a request."""
        with self._lock:
            if self.fault is Fault.NONE or self.left == 0 or not line.startswith(self.only):
                return Fault.NONE
            self.hit += 1
            if self.left is not None:
                self.left -= 1
            return self.fault


class _Connection(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        with suppress(OSError):
            self._handle()

    def _handle(self) -> None:
        lines = []
        while (line := self.rfile.readline()) not in (b"\r\n", b""):
            lines.append(line)
        if not lines:
            return
        lengths = [int(line.split(b":")[1]) for line in lines if line.lower().startswith(b"content-length:")]
        body = self.rfile.read(lengths[0]) if lengths else b""
        proxy = cast(S3Proxy, self.server)
        fault = proxy.fault_of(lines[0].decode())
        if fault is Fault.AWAY:
            return
        if fault in _ANSWERS:
            status, code = _ANSWERS[fault]
            xml = f"<Error><Code>{code}</Code></Error>"
            head = f"HTTP/1.1 {status}\r\nContent-Length: {len(xml)}\r\nConnection: close\r\n\r\n"
            self.wfile.write((head + xml).encode())
            return
        assert proxy.upstream.hostname is not None
        with socket.create_connection((proxy.upstream.hostname, proxy.upstream.port or 80)) as upstream:
            upstream.sendall(b"".join(lines) + b"Connection: close\r\n\r\n")
            if fault is Fault.CUT and body:
                upstream.sendall(body[: len(body) // 2])
                return
            _send(upstream, body, slow=fault is Fault.SLOW)
            answer = b"".join(iter(lambda: upstream.recv(_PIECE), b""))
        if fault is Fault.CUT:
            answer = answer[: (answer.index(b"\r\n\r\n") + 4 + len(answer)) // 2]
        _send(self.connection, answer, slow=fault is Fault.SLOW)


def _send(to: socket.socket, data: bytes, *, slow: bool) -> None:
    if not slow:
        to.sendall(data)
        return
    for start in range(0, len(data), _PIECE):
        to.sendall(data[start : start + _PIECE])
        time.sleep(_PAUSE_SECONDS)


@contextmanager
def standing_between(server: S3Server) -> Iterator[S3Proxy]:
    """A proxy for the length of the context."""
    (port,) = free_ports(1)
    with S3Proxy(server, port) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
