"""How every stage begins and ends: its arguments, its exit code, and its last words: a sentence, or key figures."""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from mtj_api import JobError, MusicTrainingJob, read_resolved_job
from mtj_api.contract import TERMINATION_BYTES, TERMINATION_LOG_ENV, WORK_DIR_ENV, ExitCode
from mtj_trainer.ending import EarlyEnd
from mtj_trainer.storage import Storage, StorageUnavailable


class Interrupted(Exception):  # noqa: N818 - it is no error: the stage was told to stop, and has saved its work
    """The stage was told to stop and has stopped where it can go on from."""


class PeerLost(Exception):  # noqa: N818 - it is no error of this process
    """Another process of the stage went away, and this one cannot go on without it."""


class OutOfMemory(Exception):  # noqa: N818 - another attempt needs less
    """Memory ran out, and another attempt that is told so needs less of it. Its text is a sentence."""


stop_requested = threading.Event()
"""Set by SIGTERM or SIGINT. A stage with state to save looks at it between steps and raises ``Interrupted``."""


def run_stage(main: Callable[[MusicTrainingJob], None], *, saves_itself: bool = False, has_gang: bool = False) -> None:
    """Run a stage's ``main`` under the contract of ``mtj_api.contract`` and leave the process.

    Args:
        main: the stage; whatever it has written when it returns is complete.
        saves_itself: whether ``main`` watches ``stop_requested``. Other stages are ended at once by a signal:
            what they write is atomic, and a rerun does what is missing.
        has_gang: whether ``main`` works with ``torch.distributed``.
    """
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--job", type=Path, required=True, help="resolved job, as JSON")
    job_file: Path = parser.parse_args().job
    end = EarlyEnd(ExitCode.CRASHED) if has_gang else None
    ended = False

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        again = stop_requested.is_set()
        stop_requested.set()
        if not (saves_itself or again or ended):
            raise Interrupted

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    code = _outcome(main, job_file)
    ended = True
    if end is not None:
        end.code = code
    sys.exit(code)


def _outcome(main: Callable[[MusicTrainingJob], None], job_file: Path) -> ExitCode:
    """How ``main`` ended with the job of this file, whose last words are left where somebody looks for them.

    Raises:
        Exception: what nobody foresaw.
    """
    try:
        main(read_resolved_job(job_file))
    except StorageUnavailable as error:  # the job is right: another time it may work
        leave_sentence(str(error))
        return ExitCode.CRASHED
    except JobError as error:
        leave_sentence(str(error))
        return ExitCode.WRONG_JOB
    except OutOfMemory as error:
        leave_sentence(str(error))
        return ExitCode.OUT_OF_MEMORY
    except Interrupted:
        return ExitCode.INTERRUPTED
    except PeerLost as lost:  # whoever supervises both says so; what the other left is the reason
        if str(lost):
            leave_sentence(str(lost))
        return ExitCode.PEER_LOST
    except Exception as error:
        if os.environ.get(TERMINATION_LOG_ENV):
            said = str(error).partition("\n")[0]
            leave_sentence(f"{type(error).__name__}: {said}" if said else type(error).__name__)
        raise
    return ExitCode.DONE


def has_last_words() -> bool:
    """Whether something was left where the executor looks for it."""
    path = os.environ.get(TERMINATION_LOG_ENV)
    return path is not None and Path(path).exists() and Path(path).stat().st_size > 0


def leave_sentence(sentence: str) -> None:
    """Write why the stage failed to where the executor looks for it; without an executor, to stderr."""
    path = os.environ.get(TERMINATION_LOG_ENV)
    if path:
        Path(path).write_bytes(sentence.encode()[:TERMINATION_BYTES])
    else:
        print(sentence, file=sys.stderr, flush=True)


def leave_figures(figures: Mapping[str, float], **more: object) -> None:
    """Write key figures, as a line of JSON, to where the executor looks for them; without an executor, nowhere.

    Args:
        figures: the most important first: those that ``TERMINATION_BYTES`` has no room for are left out.
        more: what else ``mtj_api.contract`` names, such as the checkpoint.
    """
    path = os.environ.get(TERMINATION_LOG_ENV)
    if not path:
        return
    kept: dict[str, float] = {}
    for name, value in figures.items():
        if math.isfinite(value):
            longer = kept | {name: value}
            if len(_line(longer, more)) > TERMINATION_BYTES:
                break
            kept = longer
    Path(path).write_bytes(_line(kept, more))


def _line(figures: Mapping[str, float], more: Mapping[str, object]) -> bytes:
    return (json.dumps({**more, "figures": figures}, ensure_ascii=False, separators=(",", ":")) + "\n").encode()


def stage_record(output: Storage, stage: str) -> dict[str, Any]:
    """What an earlier stage says that it has done.

    Raises:
        JobError: it has not been completed.
    """
    key = f"stages/{stage}.json"
    try:
        record: dict[str, Any] = json.loads(output.read(key))
    except FileNotFoundError:
        raise JobError(
            f"the {stage} stage has not been completed", where=f"{output.url}/{key}", instead="run the whole job"
        ) from None
    return record


def work_dir() -> Path:
    """A folder on this machine's own disk for caches."""
    folder = Path(os.environ.get(WORK_DIR_ENV) or Path(tempfile.gettempdir()) / f"mtj-{os.getuid()}")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
