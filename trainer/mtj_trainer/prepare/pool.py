"""Ray, as far as preparing needs it: a few workers that run a function over many items.

Invariant: Ray is started when the first item is run and never before, so that a run with nothing to do does not
wait for it; and a worker that dies takes one item with it at most, which is handed back as ``Lost``.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from mtj_trainer.stage import Interrupted

Item = TypeVar("Item")
Result = TypeVar("Result")

RETRIES = 2
"""How often an item is tried again after its worker died, before it is taken to be the cause."""

START_ATTEMPTS = 3

OBJECT_STORE_BYTES = 80 << 20
"""Results are small records; Ray wants no less than this."""

POLL_SECONDS = 1.0
"""How long a wait for results may keep a signal from being seen."""

FOLDER_PREFIX = "mtj-ray-"

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_task_oom_retries": str(RETRIES),
    "RAY_worker_niceness": "0",
}
"""One thread a worker, since there is a worker a core, and none that stands back behind whatever else runs; no reports
to Ray's makers; no warning about GPUs."""


ON_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Has Ray listen on the loopback, as it does on a Mac. Ray asks nobody who they are, and a pool of its own on this
machine is nobody else's. Ray reads it as it is imported."""


@dataclass(frozen=True)
class Done(Generic[Item, Result]):
    """An item and what the function made of it."""

    item: Item
    result: Result


@dataclass(frozen=True)
class Lost(Generic[Item]):
    """An item whose worker died each time that it was tried."""

    item: Item
    why: str


class WorkerDiedError(RuntimeError):
    """A worker that dies each time that it is given the same item."""


class WorkerPool:
    """Workers of a Ray cluster: the one that ``RAY_ADDRESS`` names, else one of its own on this machine.

    Args:
        count: items in work at a time.
        stop: when it is set, ``run`` raises ``Interrupted``. A signal handler must not raise that itself: Ray takes
            what is raised amid its own code for a failure of the item.
    """

    def __init__(self, count: int, stop: threading.Event | None = None) -> None:
        self.count = count
        self._stop = stop if stop is not None else threading.Event()
        self._folder: Path | None = None
        self._started = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def run(
        self, function: Callable[[Item], Result], items: Iterable[Item]
    ) -> Iterator[Done[Item, Result] | Lost[Item]]:
        """``function`` of each item, as they finish; never more than ``count`` are in work or waiting.

        Raises:
            Interrupted: the pool was told to stop.
            Exception: what ``function`` raises is raised here.
        """
        self.start()
        import ray

        remote = ray.remote(num_cpus=1, max_retries=RETRIES)(function)
        waiting = iter(items)
        in_work: dict[Any, Item] = {}
        exhausted = False
        while True:
            self.raise_if_stopped()
            while not exhausted and len(in_work) < self.count:
                try:
                    item = next(waiting)
                except StopIteration:
                    exhausted = True
                else:
                    in_work[remote.remote(item)] = item
            if not in_work:
                return
            finished, _ = ray.wait(list(in_work), num_returns=1, timeout=POLL_SECONDS)
            for reference in finished:
                item = in_work.pop(reference)
                try:
                    result = ray.get(reference)
                except ray.exceptions.RayTaskError as error:
                    raise error.cause from error
                except (
                    ray.exceptions.WorkerCrashedError,
                    ray.exceptions.OutOfMemoryError,
                    ray.exceptions.NodeDiedError,
                    ray.exceptions.ObjectLostError,
                ) as error:
                    yield Lost(item, str(error).splitlines()[0])
                else:
                    yield Done(item, result)

    def run_all(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Done[Item, Result]]:
        """``run`` for items that nobody else wrote: there, a worker that dies is a fault of ours.

        Raises:
            WorkerDiedError: a worker died on the same item each time.
        """
        for outcome in self.run(function, items):
            if isinstance(outcome, Lost):
                raise WorkerDiedError(f"the worker for {outcome.item} died each time: {outcome.why}")
            yield outcome

    def start(self) -> None:
        """Start Ray, or join it where it runs already; ``run`` does so by itself."""
        if self._started:
            return
        place = {} if os.environ.get("RAY_ADDRESS") else ON_LOOPBACK
        with _signals_kept(), _environment({**ENVIRONMENT, **place, "TMPDIR": tempfile.gettempdir()}):
            import ray

            logging.getLogger("ray").setLevel(logging.ERROR)
            if os.environ.get("RAY_ADDRESS"):
                ray.init(log_to_driver=False, configure_logging=False)
            else:
                self._start_own()
            self._started = True
        self.raise_if_stopped()

    def _start_own(self) -> None:
        """Ray gives its own processes 30 s to come up, which a busy machine may not keep: so more than once."""
        import ray

        for attempt in range(1, START_ATTEMPTS + 1):
            self._folder = own_folder()
            os.environ["TMPDIR"] = str(self._folder)
            try:
                ray.init(
                    address="local",
                    num_cpus=self.count,
                    include_dashboard=False,
                    log_to_driver=False,
                    configure_logging=False,
                    object_store_memory=OBJECT_STORE_BYTES,
                    _temp_dir=str(self._folder),
                )
            except Exception:  # Ray raises no narrower kind
                ray.shutdown()
                self._remove_folder()
                self.raise_if_stopped()
                if attempt == START_ATTEMPTS:
                    raise
            else:
                return

    def stop(self) -> None:
        """Stop what was started, and what it is working on."""
        if self._started:
            import ray

            with _signals_kept():
                ray.shutdown()
            self._started = False
        self._remove_folder()

    def _remove_folder(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def raise_if_stopped(self) -> None:
        """For work beside the workers'; ``run`` does so by itself.

        Raises:
            Interrupted: the pool was told to stop.
        """
        if self._stop.is_set():
            raise Interrupted


def own_folder() -> Path:
    """A folder for Ray and for what workers write meanwhile; those of processes that were killed are removed."""
    parent = Path("/tmp")  # noqa: S108 - Ray's sockets lie below, and their paths may have 107 bytes at most
    for left in parent.glob(f"{FOLDER_PREFIX}*"):
        if not Path(f"/proc/{left.name.removeprefix(FOLDER_PREFIX).partition('-')[0]}").exists():
            shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(dir=parent, prefix=f"{FOLDER_PREFIX}{os.getpid()}-"))


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray installs handlers of its own that end the process; the stage's are put back, and told what they missed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    ended_by_ray = False
    try:
        yield
    except SystemExit:
        ended_by_ray = True
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
    if ended_by_ray:
        signal.raise_signal(signal.SIGTERM)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Workers inherit what is set while Ray starts; this process goes back to what it had."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
