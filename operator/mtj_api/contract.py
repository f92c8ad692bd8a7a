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
"""Names a file for a stage's last words, of at most ``TERMINATION_BYTES``.

A stage that fails writes the one sentence that explains it. One that is done (0) or interrupted (75) may write one
line of JSON with its key figures: ``{"figures": {...}, "checkpoint": {"step": 300, "url": "s3://..."}}``.
"""

TERMINATION_BYTES = 4096
"""What a kubelet keeps of a termination message."""

WORK_DIR_ENV = "MTJ_WORK_DIR"
"""Names a folder on the node's own disk for caches; it may vanish between runs."""

ATTEMPT_ENV = "MTJ_ATTEMPT"
"""On a cluster, the number of the attempt at a stage that a process belongs to. A later attempt has a larger one, and
only the latest may write: an earlier one may still run where nobody can end it, on a node that does not answer."""

LOCK_FILE = "lock"
"""In the work folder of a job on one machine: locked by flock while the job runs there. Its lines are the number of the
process that runs it and, once one has begun, the stage that is under way."""

JOB_LABEL = f"{GROUP}/job"
STAGE_LABEL = f"{GROUP}/stage"
ATTEMPT_LABEL = f"{GROUP}/attempt"
PLAN_ANNOTATION = f"{GROUP}/plan"
"""On what the operator makes: whose it is, which stage and attempt, and the hash of what it was made from."""

MANAGER = "mtj-operator"
"""The operator's name as a field manager and on what it makes."""

CONTAINER = "stage"
"""The container of a stage's pods that runs the stage."""

JOB_FILE = "/etc/mtj/job.json"
POD_WORK_DIR = "/work"
"""Where a stage's pod has the resolved job, and a folder to write to."""

RENDEZVOUS_PORT = 29400
RAY_PORT = 6379
"""Where index 0 of a stage's pods listens for the others."""

SCRAPE_PATH = "/metrics"
PROGRESS_PATH = "/progress"


class ExitCode(IntEnum):
    """What a stage's exit status means for what happens next."""

    DONE = 0
    CRASHED = 1
    """Anything unexpected: worth a retry."""
    WRONG_JOB = 65
    """The job or its data cannot work as written: a retry would fail in the same way."""
    PEER_LOST = 69
    """Another process of the same stage went away; this one did nothing wrong."""
    INTERRUPTED = 75
    """Told to stop, and stopped with everything saved: running it again goes on from there."""
