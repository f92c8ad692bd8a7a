"""Watches the training processes of a machine from outside, and ends them when the whole gang does not go on.

Each machine tells the others, by a counter in the gang's store, when one of its processes has gone on. Invariants: a
gang of which any process goes on is left alone, however slow; what this waits for, it waits for a bounded time, so that
neither a store nor a disk that does not answer keeps a hang going; time in which this machine itself stood still, as a
laptop that slept, does not count.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from mtj_trainer.storage import open_storage
from mtj_trainer.train.gang import Gang
from mtj_trainer.train.hang import Standing, account, patience, sentence, standings_of
from mtj_trainer.train.pulse import Beat, feel
from mtj_trainer.train.stacks import ANSWER_SECONDS, gather, stuck

LOOK_SECONDS = 1.0
"""How often processes are looked at."""

STORE_SECONDS = 5.0
"""How long the gang's store may take to answer."""

WITNESS_SECONDS = 15.0
"""How long the other machines may take to say where their processes stand."""

WRITE_SECONDS = 30.0
"""How long the storage may take to take the stacks."""

LONGEST_SECONDS = ANSWER_SECONDS + WRITE_SECONDS + WITNESS_SECONDS + 4 * STORE_SECONDS
"""How long all that takes at most."""

KEEP = 5
"""Hangs of a job whose stacks are kept, the latest."""

LOG_ALONE = "in the log alone"

LOGGED, STORED = 32 * 1024, 256 * 1024
"""Bytes of a machine's stacks in its log and in the storage."""

T = TypeVar("T")


class Watchdog:
    """Watches until the processes have left.

    Args:
        gang: the machines, once they have joined.
        folder: of the pulses of this machine's processes.
        processes: how many there are on this machine.
        seconds: for which a step may stand still; 0 watches nothing.
        stacks: URL below which stacks are kept; empty for the log alone.
        end: ends the processes, with the sentence that says why, or without one where another machine says it.
    """

    def __init__(
        self, gang: Gang, folder: Path, processes: int, seconds: float, stacks: str, end: Callable[[str], None]
    ) -> None:
        self._gang = gang
        self._folder = folder
        self._processes = processes
        self._seconds = seconds
        self._stacks = stacks
        self._end = end
        self._host = socket.gethostname()
        self._store = Errand()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self.has_found = False
        """Whether the gang hangs, and what there is to say of it is being said."""

    def watch(self) -> None:
        """Begin, in a thread of its own."""
        if self._seconds:
            self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
            self._thread.start()

    def leave(self) -> None:
        """Look no more; what is being said of a hang is said first."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(LONGEST_SECONDS)

    def _watch(self) -> None:
        quiet, last, moved, everywhere = 0.0, time.monotonic(), 0, 0
        while not self._over.wait(LOOK_SECONDS):
            now = time.monotonic()
            quiet += min(now - last, 2 * LOOK_SECONDS)
            last = now
            beats = feel(self._folder)
            new = sum(beat.count for beat in beats) - moved
            found = self._store.within(STORE_SECONDS, partial(self._gang.moved, new), everywhere)
            if new or found != everywhere:
                quiet, moved, everywhere = 0.0, moved + new, found
            hung, own = self._store.within(STORE_SECONDS, self._gang.hung, ""), ""
            if not hung and quiet > patience(beats, self._processes, self._seconds):
                own = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{self._name}"
                hung = self._store.within(STORE_SECONDS, partial(self._gang.declare_hung, own), own)
            if hung and not self._over.is_set():
                self.has_found = True
                self._take_down(hung, beats, first=hung == own)
                return

    def _take_down(self, name: str, beats: list[Beat], *, first: bool) -> None:
        """Say where everything stands, to the log, the storage and the other machines, and end the processes."""
        now = time.monotonic()
        standings = [
            Standing(beat.rank, self._host, beat.phase, beat.step, now - beat.since, stuck(beat.pid)) for beat in beats
        ]
        self._store.within(STORE_SECONDS, partial(self._gang.testify, account(standings)), None)
        text = self._text(standings, gather(self._folder, {beat.rank: beat.pid for beat in beats}))
        print(text[:LOGGED], flush=True)
        where = Errand().within(WRITE_SECONDS, partial(self._keep, name, text.encode()[:STORED]), LOG_ALONE)
        self._end(self._sentence(standings, where) if first else "")

    def _text(self, standings: list[Standing], stacks: dict[int, str]) -> str:
        parts = [f"train     hangs: the processes of {self._host}"]
        for standing in standings:
            parts.append(f"process {standing.rank}: {standing.phase}, {standing.step} steps done,")
            parts[-1] += f" the last sign {standing.seconds:.0f} s ago\n{stacks[standing.rank]}"
        return "\n\n".join(parts) + "\n"

    def _keep(self, name: str, text: bytes) -> str:
        """Write the stacks where the output lies; the URL of their folder."""
        if not self._stacks:
            return LOG_ALONE
        storage = open_storage(self._stacks)
        storage.write(f"{name}/{self._name}.txt", text)
        for old in sorted({entry.key.split("/")[0] for entry in storage.list()})[:-KEEP]:
            storage.delete_tree(old)
        return f"{storage.url}/{name}"

    def _sentence(self, standings: list[Standing], where: str) -> str:
        testimonies, deadline = [account(standings)], time.monotonic() + WITNESS_SECONDS
        while len(testimonies) < self._gang.nodes and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
            testimonies = self._store.within(STORE_SECONDS, self._gang.testimonies, testimonies)
        return sentence(standings_of(testimonies), self._gang.nodes - len(testimonies), where)

    @property
    def _name(self) -> str:
        """This machine's; on one host, several may play a gang."""
        return f"{self._host}-{self._gang.rank}"


class Errand:
    """Calls that may wait for ever, one at a time: while one has not come back, no other is sent."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None

    def within(self, seconds: float, call: Callable[[], T], otherwise: T) -> T:
        """What ``call`` returns, or ``otherwise`` where it fails or takes longer, whatever it waits for then."""
        if self._thread is not None and self._thread.is_alive():
            return otherwise
        answers: list[T] = []

        def answer() -> None:
            with suppress(Exception):
                answers.append(call())

        self._thread = threading.Thread(target=answer, name="errand", daemon=True)
        self._thread.start()
        self._thread.join(seconds)
        return answers[0] if answers else otherwise
