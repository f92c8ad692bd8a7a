"""How every stage begins and ends: its arguments, its exit code, and the sentence it leaves when it fails."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from mtj_api import JobError, MusicTrainingJob, read_resolved_job
from mtj_api.contract import TERMINATION_LOG_ENV, WORK_DIR_ENV, ExitCode
from mtj_trainer.storage import StorageUnavailable


class Interrupted(Exception):  # noqa: N818 - it is no error: the stage was told to stop, and has saved its work
    """The stage was told to stop and has stopped where it can go on from."""


stop_requested = threading.Event()
"""Set by SIGTERM or SIGINT. A stage with state to save looks at it between steps and raises ``Interrupted``."""


def run_stage(main: Callable[[MusicTrainingJob], None], *, saves_itself: bool = False) -> None:
    """Run a stage's ``main`` under the contract of ``mtj_api.contract`` and leave the process.

    Args:
        main: the stage; whatever it has written when it returns is complete.
        saves_itself: whether ``main`` watches ``stop_requested``. Other stages are ended at once by a signal:
            what they write is atomic, and a rerun does what is missing.
    """
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--job", type=Path, required=True, help="resolved job, as JSON")
    job = read_resolved_job(parser.parse_args().job)

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop_requested.set()
        if not saves_itself:
            raise Interrupted

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    try:
        main(job)
    except StorageUnavailable as error:  # the job is right: another time it may work
        leave_sentence(str(error))
        sys.exit(ExitCode.CRASHED)
    except JobError as error:
        leave_sentence(str(error))
        sys.exit(ExitCode.WRONG_JOB)
    except Interrupted:
        sys.exit(ExitCode.INTERRUPTED)
    sys.exit(ExitCode.DONE)


def leave_sentence(sentence: str) -> None:
    """Write why the stage failed to where the executor looks for it; without an executor, to stderr."""
    path = os.environ.get(TERMINATION_LOG_ENV)
    if path:
        Path(path).write_text(sentence, encoding="utf-8")
    else:
        print(sentence, file=sys.stderr, flush=True)


def work_dir() -> Path:
    """A folder on this machine's own disk for caches."""
    folder = Path(os.environ.get(WORK_DIR_ENV) or Path(tempfile.gettempdir()) / f"mtj-{os.getuid()}")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
