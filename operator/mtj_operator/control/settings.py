"""What whoever runs the operator decides, by flags."""

from __future__ import annotations

import argparse
import socket
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from mtj_api.spec import Scheduling
from mtj_operator.control import job_defaults

NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
"""Where a pod reads the name of its own namespace."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All of it.

    Attributes:
        trainer_image: the image of a job's pods where the job names none.
        storage_secret: a Secret in a job's namespace with the environment for S3, where the job names none.
        job_defaults: what else jobs get where they leave it out.
        namespaces: where jobs are served; empty for the whole cluster.
        lease_namespace: where the Lease lies by which replicas agree on who acts.
        identity: this process among its replicas.
        port: of health and metrics.
        workers: how many jobs have children made at once.
        progress_seconds: between two looks at a training's progress.
        resync_seconds: between two comparisons of what is known with what the API server lists.
        json_logs: whether log lines are JSON instead of words.
        verbose: whether small steps are logged too.
    """

    trainer_image: str
    storage_secret: str = ""
    job_defaults: Scheduling = field(default_factory=Scheduling)
    namespaces: tuple[str, ...] = ()
    lease_namespace: str = "default"
    identity: str = field(default_factory=lambda: f"{socket.gethostname()}_{uuid.uuid4().hex[:8]}")
    port: int = 8080
    workers: int = 32
    progress_seconds: float = 15.0
    resync_seconds: float = 300.0
    json_logs: bool = False
    verbose: bool = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the flags that ``from_arguments`` reads."""
    add = parser.add_argument
    add("--trainer-image", required=True, metavar="IMAGE", help="image of the pods of jobs that name none")
    add("--storage-secret", default="", metavar="NAME", help="Secret with S3's environment for jobs that name none")
    add(
        "--job-defaults",
        type=Path,
        default=None,
        metavar="FILE",
        help="YAML with fields of spec.scheduling for jobs that leave them out",
    )
    add(
        "--namespace",
        dest="namespaces",
        action="append",
        default=[],
        metavar="NAME",
        help="serve this namespace alone; may be repeated; the whole cluster where it is left out",
    )
    add("--lease-namespace", default=None, metavar="NAME", help="where replicas agree on who acts; the pod's own")
    add("--port", type=int, default=Settings.port, help="of health and metrics (%(default)s)")
    add("--workers", type=int, default=Settings.workers, help="jobs that have children made at once (%(default)s)")
    add(
        "--progress-seconds",
        type=float,
        default=Settings.progress_seconds,
        metavar="SECONDS",
        help="between two looks at a training's progress (%(default)g)",
    )
    add(
        "--resync-seconds",
        type=float,
        default=Settings.resync_seconds,
        metavar="SECONDS",
        help="between two comparisons with what the API server lists (%(default)g)",
    )
    add("--json-logs", action="store_true", help="log lines as JSON")
    add("--verbose", action="store_true", help="log small steps too")


def from_arguments(options: argparse.Namespace) -> Settings:
    """The settings that parsed flags mean.

    Raises:
        JobError: the file of ``--job-defaults`` cannot work.
    """
    return Settings(
        trainer_image=options.trainer_image,
        storage_secret=options.storage_secret,
        job_defaults=job_defaults.read(options.job_defaults) if options.job_defaults else Scheduling(),
        namespaces=tuple(dict.fromkeys(options.namespaces)),
        lease_namespace=options.lease_namespace or own_namespace(),
        port=options.port,
        workers=options.workers,
        progress_seconds=options.progress_seconds,
        resync_seconds=options.resync_seconds,
        json_logs=options.json_logs,
        verbose=options.verbose,
    )


def own_namespace() -> str:
    """The namespace of the pod that this process runs in; ``default`` outside of pods."""
    try:
        return NAMESPACE_FILE.read_text(encoding="utf-8").strip()
    except OSError:
        return "default"
