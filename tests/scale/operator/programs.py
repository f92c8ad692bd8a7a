"""Programs that the benchmark runs and looks at: their memory, their processor time, and their end.

Invariant: a program that was started here is gone when its context is left.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import psutil

START_SECONDS = 60
STOP_SECONDS = 30


class Program:
    """A running program.

    Attributes:
        name: what it is called in errors.
        log: the file that its output goes to.
    """

    def __init__(self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command, env=environment, stdout=output, stderr=output, stdin=subprocess.DEVNULL
            )
        self._seen = psutil.Process(self._process.pid)

    def cpu_seconds(self) -> float:
        """Processor time that it has used so far."""
        times = self._seen.cpu_times()
        return float(times.user + times.system)

    def memory_mb(self) -> float:
        """Memory that it holds, in MB."""
        return float(self._seen.memory_info().rss) / 1e6

    def peak_memory_mb(self) -> float:
        """The most memory that it has held, in MB."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 / 1e6

    def check(self) -> None:
        """Raises RuntimeError with the end of its log when it has ended by itself."""
        code = self._process.poll()
        if code is not None:
            log = self.log.read_text(errors="replace")[-4000:]
            raise RuntimeError(f"{self.name} ended with {code}:\n{log}")

    async def ready_at(self, url: str) -> None:
        """Return once ``url`` answers with a success.

        Raises:
            RuntimeError: the program ended first, or was not ready in time.
        """
        deadline = time.monotonic() + START_SECONDS
        async with aiohttp.ClientSession() as session:
            while time.monotonic() < deadline:
                self.check()
                try:
                    async with session.get(url) as answer:
                        if answer.status == 200:
                            return
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.05)
        raise RuntimeError(f"{self.name} was not ready in time:\n{self.log.read_text(errors='replace')[-4000:]}")

    def kill(self) -> None:
        """End it with SIGKILL, as a crash does."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Ask it to end, as a kubelet does, and wait until it has."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()


@asynccontextmanager
async def running(
    name: str, command: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> AsyncIterator[Program]:
    """Run a program for the length of the context, with its log in ``folder``."""
    program = Program(name, command, folder / f"{name}.log", environment)
    try:
        yield program
    finally:
        program.stop()
