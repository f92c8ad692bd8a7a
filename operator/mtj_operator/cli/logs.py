"""``mtj logs``: the logs of all pods of a job on a cluster, as one."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mtj_api import JobError
from mtj_api.contract import ExitCode
from mtj_operator.cli import operator_extra
from mtj_operator.plan import STAGES

if TYPE_CHECKING:
    from mtj_operator.logs import Reading
    from mtj_operator.plan.observed import PodSnapshot

INTERRUPTED_BY_USER = 130
"""What a shell takes for Ctrl-C."""

_OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Wanted:
    """The arguments, as they were typed.

    Attributes:
        name: of the job.
        namespace: of the job; that of the kubeconfig where empty.
        stage: a stage; all where empty.
        attempt: a number, ``all``, or empty for the last.
        rank: an index among the pods of a stage.
        follow: whether to go on until the job has ended.
        tail: lines of each log to begin with.
        since: how old they may be, such as ``10m``.
    """

    name: str
    namespace: str = ""
    stage: str = ""
    attempt: str = ""
    rank: int | None = None
    follow: bool = False
    tail: int | None = None
    since: str = ""


def logs(wanted: Wanted) -> int:
    """Print the logs; the exit status, which is 1 when the job was followed to its failure.

    Raises:
        JobError: an argument is wrong, or the job cannot be read.
    """
    _check(wanted)
    with operator_extra.needed():
        import mtj_operator.control.connect  # noqa: F401
    try:
        outcome = asyncio.run(_read(wanted))
    except KeyboardInterrupt:
        return INTERRUPTED_BY_USER
    return ExitCode.CRASHED if wanted.follow and outcome is False else ExitCode.DONE


def seconds(text: str) -> int:
    """A length of time such as ``90``, ``10m`` or ``2h``, in seconds.

    Raises:
        JobError: it is none.
    """
    match = re.fullmatch(r"([0-9]{1,6})([smhd]?)", text)
    if match is None:
        raise JobError(f"{text} is no length of time", where="--since", instead="write one such as 90s, 10m or 2h")
    return int(match[1]) * _UNITS[match[2]]


def _check(wanted: Wanted) -> None:
    if wanted.stage and wanted.stage not in STAGES:
        names = f"{', '.join(STAGES[:-1])} or {STAGES[-1]}"
        raise JobError(f"there is no stage {wanted.stage}", where="--stage", instead=f"write {names}")
    if wanted.attempt not in ("", "all") and not (wanted.attempt.isdecimal() and int(wanted.attempt)):
        raise JobError(f"{wanted.attempt} is no attempt", where="--attempt", instead="write 1, 2 and so on, or all")
    for option, number in (("--rank", wanted.rank), ("--tail", wanted.tail)):
        if number is not None and number < 0:
            raise JobError(f"{number} is less than nothing", where=option, instead="write 0 or more")
    if wanted.since:
        seconds(wanted.since)


def _reading(wanted: Wanted) -> Reading:
    from mtj_operator.logs import Choice, Reading

    choice = Choice(
        stage=wanted.stage or None,
        attempt=int(wanted.attempt) if wanted.attempt.isdecimal() else None,
        every=wanted.attempt == "all",
        rank=wanted.rank,
    )
    return Reading(choice, wanted.follow, wanted.tail, seconds(wanted.since) if wanted.since else None)


async def _read(wanted: Wanted) -> bool | None:
    from mtj_operator.control.connect import configuration
    from mtj_operator.logs import Cluster, Unreadable, prefix, read_logs

    reading = _reading(wanted)
    try:
        found = await configuration()
    except JobError:
        raise JobError("no cluster is configured", instead="name a kubeconfig in KUBECONFIG") from None
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")

    def write(pod: PodSnapshot, lines: Sequence[str]) -> None:
        before = prefix(pod, colour=colour)
        sys.stdout.writelines(f"{before}{line}\n" for line in lines)
        if reading.follow:
            sys.stdout.flush()

    def note(remark: str) -> None:
        sys.stdout.flush()
        print(f"-- {remark}", file=sys.stderr, flush=True)

    cluster = Cluster(found, wanted.namespace or _namespace(), wanted.name)
    try:
        return await read_logs(cluster, reading, write, note)
    except Unreadable as error:
        raise await cluster.explained(error) from None
    finally:
        await cluster.close()
        sys.stdout.flush()


def _namespace() -> str:
    """Of the kubeconfig's context, or, in a pod, its own."""
    from kubernetes.aio.config import ConfigException, list_kube_config_contexts

    try:
        _, active = list_kube_config_contexts()
    except ConfigException:
        return _OWN_NAMESPACE.read_text(encoding="utf-8").strip() if _OWN_NAMESPACE.exists() else "default"
    return str(active["context"].get("namespace") or "default")
