"""What the end of an attempt is called: one sentence that says what happened and what to do about it."""

from __future__ import annotations

from mtj_api.contract import ExitCode
from mtj_api.errors import visible

OOM_KILLED = "OOMKilled"
"""The kubelet's word for a container that the kernel ended because it had more memory than it may have."""

_MORE_MEMORY = {
    "prepare": "raise scheduling.resources.prepare.memory or lower dataset.workers.count",
    "train": "raise scheduling.resources.train.memory, or write training.batch.auto: true, with which the next attempt "
    "divides a step into more passes",
}
_SIGNALS = {130: "SIGINT", 134: "SIGABRT", 135: "SIGBUS", 137: "SIGKILL", 139: "SIGSEGV", 143: "SIGTERM"}


def wrong_job(message: str) -> str:
    """Why a job cannot work, in the words of the stage that found out."""
    return _one_line(message) or "the job or its data cannot work as written"


def for_good(why: str) -> str:
    """The same of a job that has failed by it: its end is final, whatever is mended."""
    return f"{why}; once that is mended, delete the job and apply it anew"


def crash(stage: str, code: int | None, reason: str, message: str) -> str:
    """Why an attempt failed by its own doing.

    Args:
        stage: its name.
        code: exit status of the pod that says best; ``None`` where no pod is left to say.
        reason: the kubelet's word.
        message: the stage's last words.
    """
    if reason == OOM_KILLED:
        more = _MORE_MEMORY.get(stage, "raise scheduling.resources.evaluate.memory")
        return f"the system ended it, as it ran out of memory; {more}"
    if message.strip():
        return _one_line(message)
    if code == ExitCode.OUT_OF_MEMORY:
        return "it ran out of memory"
    if code is None:
        return "it failed, and its pods are gone"
    by = f"it was ended by {_SIGNALS[code]}" if code in _SIGNALS else f"it failed with exit status {code}"
    return f"{by}{f' ({reason})' if reason not in ('', 'Error') else ''}; its log may say why (mtj logs)"


_TAKEN_AWAY = {
    "PreemptionByScheduler": "was preempted by a pod of a higher priority",
    "DeletionByTaintManager": "was evicted by a taint of its node",
    "EvictionByEvictionAPI": "was evicted, as when a node is drained",
    "DeletionByPodGC": "was lost with its node",
    "TerminationByKubelet": "was ended by its node, which ran short of something or shuts down",
}
"""https://kubernetes.io/docs/concepts/workloads/pods/disruptions/#pod-disruption-conditions"""


def taken_away(pod: str, reason: str, message: str) -> str:
    """What took a pod away that did nothing wrong.

    Args:
        pod: its name.
        reason: Kubernetes' word; empty or unknown where it has none.
        message: Kubernetes' words.
    """
    return f"{pod} {_TAKEN_AWAY.get(reason, 'was taken away')} ({_one_line(message)})"


def times(count: int) -> str:
    """``once``, ``twice``, ``3 times``."""
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def _one_line(message: str) -> str:
    return visible(" ".join(message.split()))
