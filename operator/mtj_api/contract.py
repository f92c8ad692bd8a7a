"""What the planner, the executors and the stages agree on: names, exit codes, ports and environment.

A stage is any process that keeps this contract; an executor needs to know nothing else about it.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

GROUP = "training.discomusica.io"
VERSION = "v1alpha1"
API_VERSION: Final = "training.discomusica.io/v1alpha1"
KIND: Final = "MusicTrainingJob"
PLURAL = "musictrainingjobs"
SINGULAR = "musictrainingjob"
SHORT_NAME = "mtj"

TERMINATION_LOG_ENV = "MTJ_TERMINATION_LOG"
"""Names a file into which a stage that fails writes the one sentence that explains it."""

WORK_DIR_ENV = "MTJ_WORK_DIR"
"""Names a folder on the node's own disk for caches; it may vanish between runs."""

SCRAPE_PATH = "/metrics"
PROGRESS_PATH = "/progress"


class ExitCode(IntEnum):
    """What a stage's exit status means for what happens next."""

    DONE = 0
    CRASHED = 1
    """Anything unexpected: worth a retry."""
    WRONG_JOB = 65
    """The job or its data cannot work as written: a retry would fail in the same way."""
    INTERRUPTED = 75
    """Told to stop, and stopped with everything saved: running it again goes on from there."""
