"""Stages as processes on this machine, one after the other.

Invariant: no process of a stage outlives the stage, and none outlives this process, whatever kills it: a guard
(``guard.py``) stands between the two. The lock of the job is held until the last of them is gone.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from mtj_api.contract import LISTEN_ENV, OUT_OF_MEMORY_ENV, TERMINATION_LOG_ENV, WORK_DIR_ENV, ExitCode
from mtj_api.errors import visible
from mtj_operator.execute import guard
from mtj_operator.execute.executor import DONE, Outcome, stage_outcome
from mtj_operator.execute.lock import held, tell
from mtj_operator.plan import Plan, Stage

GRACE_SECONDS = 90.0
"""How long a stage that is told to stop may take to save its work."""

LONGEST_SENTENCE = 4096

MOST_TRIES = 20
"""How often a stage that runs out of memory is run again: each time a pass has half as many examples, at most 2**20."""

NEEDS_LESS = "write training.batch.auto: true, and the same command goes on with less at a time"

LOOPBACK = "127.0.0.1"
"""Where stages listen, unless the environment says otherwise: nobody else's machine has business with them."""


class LocalExecutor:
    """Runs each stage as a child process that inherits the terminal, and stops at the first that fails.

    One that ran out of memory and needs less when it is told so is run again at once.

    Args:
        work_dir: the job's own folder on this machine's disk; two executors never use one at a time.
        environment: what the stages inherit.
        files: what the stages and other jobs read, by path; written when it is sure that no other executor uses the
            folder.
        announce: is given a line for each stage that begins.
        grace_seconds: how long a stage that is told to stop may take before it is killed.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        work_dir: Path,
        environment: Mapping[str, str],
        *,
        files: Mapping[Path, str] | None = None,
        announce: Callable[[str], None] = print,
        grace_seconds: float = GRACE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._work_dir = work_dir
        self._environment = environment
        self._files = files or {}
        self._announce = announce
        self._grace_seconds = grace_seconds
        self._clock = clock
        self._stops = 0
        self._stopped_at = 0.0
        self._woken, self._wake = os.pipe()

    def run(self, plan: Plan) -> Outcome:
        """Carry the plan out.

        Raises:
            JobError: another process is at work on the same job.
        """
        with held(self._work_dir) as lock:
            for path, text in self._files.items():
                _write(path, text)
            for number, stage in enumerate(plan.stages, start=1):
                if self._stops:
                    return stage_outcome(stage.name, -1, "", asked_to_stop=True)
                tell(lock, stage.name)
                self._announce(f"[{number}/{len(plan.stages)}] {stage.name}")
                outcome = self._run_stage(stage, lock)
                tries = MOST_TRIES if stage.shrinks else 0
                while outcome.code == ExitCode.OUT_OF_MEMORY and tries and not self._stops:
                    tries -= 1
                    self._announce(f"{stage.name} again: {outcome.sentence}")
                    outcome = self._run_stage(stage, lock, {OUT_OF_MEMORY_ENV: "1"})
                if outcome.code == ExitCode.OUT_OF_MEMORY:
                    return replace(outcome, sentence=f"{outcome.sentence}; {NEEDS_LESS}")
                if outcome is not DONE:
                    return outcome
        return DONE

    def stop(self) -> None:
        """Stop with everything saved; a second call stops at once. May be called from a signal handler."""
        self._stops += 1
        if self._stops == 1:
            self._stopped_at = self._clock()
        os.write(self._wake, b"!")

    def _run_stage(self, stage: Stage, lock: int, told: Mapping[str, str] = MappingProxyType({})) -> Outcome:
        log = self._work_dir / f"{stage.name}.failure"
        log.unlink(missing_ok=True)
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                process = subprocess.Popen(
                    [sys.executable, "-I", "-S", guard.__file__, str(theirs.fileno()), *stage.command],
                    env={
                        LISTEN_ENV: LOOPBACK,
                        **self._environment,
                        **stage.environment,
                        **told,
                        TERMINATION_LOG_ENV: str(log),
                        WORK_DIR_ENV: str(self._work_dir),
                    },
                    stdin=subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(), lock),
                    process_group=0,
                )
            self._await_end(ours)
        status = process.wait()
        return stage_outcome(stage.name, status, _sentence(log), asked_to_stop=self._stops > 0)

    def _await_end(self, lifeline: socket.socket) -> None:
        """Wait for the guard to end. On the first stop ask it to stop the stage; then return, which kills it."""
        asked = False
        while self._stops < 2:
            left = self._stopped_at + self._grace_seconds - self._clock() if self._stops else None
            if left is not None and left <= 0:
                return
            ready, _, _ = select.select([lifeline.fileno(), self._woken], [], [], left)
            if lifeline.fileno() in ready:
                return
            if self._woken in ready:
                os.read(self._woken, 1)
            if self._stops and not asked:
                asked = True
                lifeline.sendall(b"!")


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all: other jobs may be reading it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def _sentence(log: Path) -> str:
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    return visible(" ".join(text[:LONGEST_SENTENCE].split()))
