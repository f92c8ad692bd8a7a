"""The machines that train together: they wait for each other, and learn when one of them has gone.

The first machine hosts a TCP store at the gang's address, which torchrun's rendezvous and the training processes use
as well. Invariant: nothing here waits for ever without looking, and waiting for others to come has no limit: whoever
started the machines decides when that has taken too long, by a signal.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from torch.distributed import DistError, PrefixStore, TCPStore  # type: ignore[attr-defined]

from mtj_api.contract import ExitCode

LOOK_SECONDS = 0.25
"""How often the others are looked for, and looked after; at first they are looked for more often, as they begin
together."""

SILENT_SECONDS = 3.0
"""A machine that was not heard of for so long went away without a word."""

FAREWELL_SECONDS = 10.0
"""How long the host of the store stays for machines that leave in order, too."""

LOOPBACK = "127.0.0.1"
"""Where a machine reaches itself."""

JOINED, LEAVING, BROKEN = "joined", "leaving", "broken"
ALIVE, MOVED, HUNG, WITNESS = "alive", "moved", "hung", "witness"


class Gang:
    """This machine's membership of a gang.

    Args:
        host: name or address of the first machine; it may not be known yet.
        port: where the store listens; 0 takes any free one, for a gang of one.
        nodes: machines in all.
        rank: this machine's number among them, from 0; the first hosts the store.
        name: tells this gang from one that was there before it.
        say: is told what is waited for.
    """

    def __init__(
        self, host: str, port: int, nodes: int, rank: int, name: str, say: Callable[[str], None] = print
    ) -> None:
        self.host = host
        self.port = port
        self.nodes = nodes
        self.rank = rank
        self.name = name
        self._say = say
        self._over = threading.Event()
        self._store: PrefixStore | None = None

    def join(self) -> None:
        """Return when all machines are here. A signal handler may raise out of it.

        Raises:
            DistError: the first machine went away again.
        """
        self._store = PrefixStore(f"gang/{self.name}", self._connected() if self.rank else self._hosted())
        here = self._store.add(JOINED, 1)
        said, pauses = 0, _pauses()
        while here < self.nodes:
            if here != said:
                self._say(f"{here} of {self.nodes} machines are here")
                said = here
            time.sleep(next(pauses))
            here = self._store.add(JOINED, 0)

    def watch(self, on_loss: Callable[[], None]) -> None:
        """Call ``on_loss``, once and from a thread of its own, when another machine leaves with its work undone.

        Meanwhile the others hear of this one.
        """
        threading.Thread(target=self._look, args=(on_loss,), name="gang", daemon=True).start()

    def leave(self, code: ExitCode) -> None:
        """Say that this machine goes, and how; the others are not waited for, except by the host in good order."""
        self._over.set()
        if self._store is None:
            return
        with suppress(DistError):  # the host has gone before
            if code != ExitCode.DONE:
                self._store.set(BROKEN, str(int(code)))
            gone, joined = self._store.add(LEAVING, 1), self._store.add(JOINED, 0)
            deadline = time.monotonic() + FAREWELL_SECONDS
            while self.rank == 0 and code in (ExitCode.DONE, ExitCode.INTERRUPTED) and gone < joined:
                if time.monotonic() > deadline:
                    return
                time.sleep(0.05)
                gone = self._store.add(LEAVING, 0)

    def has_lost_another(self) -> bool:
        """Whether another machine has gone, with a word or without one, which takes ``SILENT_SECONDS`` to know."""
        others = [f"{ALIVE}/{rank}" for rank in range(self.nodes) if rank != self.rank]
        if not others:
            return False
        try:
            if self.store.check([BROKEN]):
                return True
            heard = [self.store.add(other, 0) for other in others]
            time.sleep(SILENT_SECONDS)
            return any(self.store.add(other, 0) == then for other, then in zip(others, heard, strict=True))
        except DistError:
            return True

    def moved(self, by: int) -> int:
        """Say that processes of this machine have gone on so many times; how often those of all machines have.

        Raises:
            DistError: the store is gone. Like the methods below, it may also wait for one that does not answer.
        """
        return self.store.add(MOVED, by)

    def hung(self) -> str:
        """What a machine has called the hang that it declared; empty where none has."""
        return self.store.get(HUNG).decode() if self.store.check([HUNG]) else ""

    def declare_hung(self, name: str) -> str:
        """Declare that the gang hangs; what the first that did so called it."""
        return self.store.compare_set(HUNG, "", name).decode()

    def testify(self, said: str) -> None:
        """Leave what this machine knows of a hang."""
        self.store.set(f"{WITNESS}/{self.rank}", said)

    def testimonies(self) -> list[str]:
        """What the machines have left so far."""
        keys = [f"{WITNESS}/{rank}" for rank in range(self.nodes)]
        return [self.store.get(key).decode() for key in keys if self.store.check([key])]

    @property
    def store(self) -> PrefixStore:
        """What all machines read and write; there is one from ``join`` on."""
        assert self._store is not None, "join comes first"
        return self._store

    def _look(self, on_loss: Callable[[], None]) -> None:
        while not self._over.wait(LOOK_SECONDS):
            try:
                self.store.add(f"{ALIVE}/{self.rank}", 1)
                if not self.store.check([BROKEN]):
                    continue
            except DistError:
                pass  # the store went away, and with it the first machine
            if not self._over.is_set():
                on_loss()
            return

    def _connected(self) -> TCPStore:
        """The store of the first machine, once its name means anything and it answers."""
        if not _answers(self.host, self.port):
            self._say(f"waiting for {self.host}:{self.port}")
            pauses = _pauses()
            while not _answers(self.host, self.port):
                time.sleep(next(pauses))
        return TCPStore(self.host, self.port, is_master=False, wait_for_workers=False)

    def _hosted(self) -> TCPStore:
        """The store, hosted here.

        It asks nobody who they are, so a gang of one has it where it alone can reach it.
        """
        if self.nodes > 1:
            return TCPStore(LOOPBACK, self.port, is_master=True, wait_for_workers=False)
        listener = socket.create_server((self.host, self.port))  # a TCPStore by itself listens on every address
        self.port, handed_over = listener.getsockname()[1], listener.detach()
        return TCPStore(self.host, self.port, is_master=True, wait_for_workers=False, master_listen_fd=handed_over)


def _pauses() -> Iterator[float]:
    """Seconds between one look for others and the next."""
    pause = LOOK_SECONDS / 16
    while True:
        yield pause
        pause = min(LOOK_SECONDS, 1.5 * pause)


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=2).close()
    except OSError:
        return False
    return True
