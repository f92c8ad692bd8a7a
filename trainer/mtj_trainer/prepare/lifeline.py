"""A connection from each machine that helps to the one that leads: it stands while the leader does.

What comes before its end says how that came: ``DONE`` when all work is done, nothing when the leader failed or is gone.
A leader that vanishes with its machine says nothing at all: keep-alive probes end the connection within some 10 s.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

DONE = b"done\n"

LOOK_SECONDS = 0.5


class Leader:
    """Holds the ends of the lifelines; its own end ends them all.

    Args:
        port: to listen on, on all interfaces.
    """

    def __init__(self, port: int) -> None:
        self._listener = socket.create_server(("", port), reuse_port=False)
        self._helpers: list[socket.socket] = []
        self._done = False
        threading.Thread(target=self._accept, name="lifeline", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        for helper in self._helpers:
            with suppress(OSError):
                if self._done:
                    helper.sendall(DONE)
                helper.close()

    def all_done(self) -> None:
        """From now on, an end is a good one."""
        self._done = True

    def _accept(self) -> None:
        with suppress(OSError):  # the listener was closed
            while True:
                self._helpers.append(self._listener.accept()[0])


class Helper:
    """This machine's lifeline to the leader.

    Args:
        host, port: where the leader listens, or will.
        say: is told that the leader is waited for.

    Attributes:
        ended_well: whether the leader's last word was that all is done.
    """

    def __init__(self, host: str, port: int, say: Callable[[str], None] = print) -> None:
        self.ended_well = False
        self._ended = False
        self._leader = _connected(host, port, say)
        self._leader.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (("TCP_KEEPIDLE", 4), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3)):
            if hasattr(socket, option):  # Linux's names
                self._leader.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)

    def has_leader(self, seconds: float = 0.0) -> bool:
        """Whether the leader still stands after so many seconds; returns sooner if it does not."""
        if self._ended:
            return False
        self._leader.settimeout(seconds)
        try:
            self.ended_well = self._leader.recv(len(DONE)) == DONE
        except (TimeoutError, BlockingIOError):
            return True
        except OSError:
            pass
        self._ended = True
        return False

    def close(self) -> None:
        """Let go."""
        self._leader.close()


def _connected(host: str, port: int, say: Callable[[str], None]) -> socket.socket:
    """A connection, as soon as there is somebody to connect to: the name, too, may only come with its machine."""
    said = False
    while True:
        try:
            return socket.create_connection((host, port), timeout=5)
        except OSError:
            if not said:
                say(f"waiting for {host}")
                said = True
            time.sleep(LOOK_SECONDS)
