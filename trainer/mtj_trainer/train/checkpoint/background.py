"""Writing behind the training's back, through storage that is away for a while.

Invariant: training waits for a write that goes well, so that never more than two are held, and goes on during one that
fails. What fails is tried again, or what is newer in its place, for a bounded time; then, or where trying again would
not help, training is told.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from mtj_trainer.storage import StorageUnavailable


class Lost(StorageUnavailable):
    """What was to be written is gone: it is not tried again, but something newer may be written."""


@dataclass(frozen=True)
class Patience:
    """How long failures are borne; each try waits for the storage's own retries besides.

    Attributes:
        seconds: how long writing may fail in a row while training goes on.
        last_seconds: the same when training is done or was told to stop, and waits.
        first_pause, longest_pause: seconds between two tries; each pause is twice the one before, less up to a half
            by chance, so that many jobs do not come back at once.
    """

    seconds: float = 900.0
    last_seconds: float = 45.0
    first_pause: float = 1.0
    longest_pause: float = 60.0


@dataclass(frozen=True)
class Write:
    """Something to be written: ``run`` does it, and may be called again; ``drop`` lets go of it, done or not."""

    run: Callable[[], None]
    drop: Callable[[], None]


class Background:
    """Writes one thing at a time in a thread.

    Args:
        patience: how long failures are borne.
        say: is given a line when writing begins to fail, and when it works again.

    Attributes:
        failed: tries that failed.
    """

    def __init__(self, patience: Patience, say: Callable[[str], None]) -> None:
        self.failed = 0
        self._patience = patience
        self._say = say
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._next: Write | None = None
        self._failing_since: float | None = None
        self._last: StorageUnavailable | None = None
        self._error: BaseException | None = None

    def await_turn(self) -> None:
        """Return when what is under way is written, or fails.

        Raises:
            Exception: what ended the writing before.
        """
        with self._changed:
            while self._thread is not None and (self._failing_since is None or self._error is not None):
                self._changed.wait()
            self._raise()

    def submit(self, write: Write) -> None:
        """Write this, in the place of what fails."""
        with self._changed:
            replaced, self._next = self._next, write
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="checkpoint")
                self._thread.start()
        if replaced is not None:
            replaced.drop()

    def fail(self, error: StorageUnavailable) -> None:
        """Count something that failed before it came here.

        Raises:
            StorageUnavailable: that has been so for too long.
        """
        with self._changed:
            self._count(error)
            self._raise()

    def check(self) -> None:
        """Raise what ended the writing, if anything has."""
        with self._changed:
            if self._thread is None:
                self._raise()

    def wait(self) -> None:
        """Until all is written; raises what ended the writing, or keeps it from being done."""
        deadline = time.monotonic() + self._patience.last_seconds
        with self._changed:
            while self._thread is not None:
                self._changed.wait(0.1)
                if self._last is not None and self._failing_since is not None and time.monotonic() > deadline:
                    self._error = self._error or self._last
                    self._changed.notify_all()
            if self._failing_since is not None:
                self._error = self._error or self._last
            self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            self._failing_since = None
            raise error

    def _count(self, error: StorageUnavailable) -> None:
        now = time.monotonic()
        self.failed += 1
        self._last = error
        if self._failing_since is None:
            self._failing_since = now
            self._say(f"warning: no checkpoint could be written ({error}); training goes on, and it is tried again")
        if now - self._failing_since >= self._patience.seconds:
            self._error = error

    def _work(self) -> None:
        pause = self._patience.first_pause
        while True:
            with self._changed:
                write, self._next = self._next, None
                if write is None or self._error is not None:
                    self._thread = None
                    self._changed.notify_all()
                    break
            try:
                write.run()
            except StorageUnavailable as error:
                with self._changed:
                    self._count(error)
                    if self._next is None and not isinstance(error, Lost):
                        self._next, write = write, None
                    self._changed.notify_all()
                    self._rest(pause * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
                pause = min(2 * pause, self._patience.longest_pause)
            except BaseException as error:
                with self._changed:
                    self._error = error
            else:
                pause = self._patience.first_pause
                self._recover()
            if write is not None:
                write.drop()
        if write is not None:
            write.drop()

    def _recover(self) -> None:
        with self._changed:
            if self._failing_since is not None:
                seconds = time.monotonic() - self._failing_since
                self._say(f"checkpoints are written again, after {seconds:.0f} s")
            self._failing_since = self._last = self._error = None

    def _rest(self, seconds: float) -> None:
        """A pause, which ends early where nobody is left to try again for."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and self._error is None:
            if not threading.main_thread().is_alive():
                self._error = self._last
            self._changed.wait(min(left, 1.0))
