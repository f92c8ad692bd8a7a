"""What the end of an attempt is called: one sentence that says what happened and what to do about it."""

from __future__ import annotations

from mtj_api.errors import visible

_MORE_MEMORY = {
    "prepare": "raise scheduling.resources.prepare.memory or lower dataset.workers.count",
    "train": "raise scheduling.resources.train.memory or lower training.batch.size",
}
_SIGNALS = {130: "SIGINT", 134: "SIGABRT", 135: "SIGBUS", 137: "SIGKILL", 139: "SIGSEGV", 143: "SIGTERM"}


def wrong_job(message: str) -> str:
    """Why a job cannot work, in the words of the stage that found out."""
    return _one_line(message) or "the job or its data cannot work as written"


def crash(stage: str, code: int | None, reason: str, message: str) -> str:
    """Why an attempt failed by its own doing.

    Args:
        stage: its name.
        code: exit status of the pod that says best; ``None`` where no pod is left to say.
        reason: the kubelet's word.
        message: the stage's last words.
    """
    if reason == "OOMKilled":
        more = _MORE_MEMORY.get(stage, "raise scheduling.resources.evaluate.memory")
        return f"it ran out of memory; {more}"
    if message.strip():
        return _one_line(message)
    if code is None:
        return "it failed, and its pods are gone"
    by = f"it was ended by {_SIGNALS[code]}" if code in _SIGNALS else f"it failed with exit status {code}"
    return f"{by}{f' ({reason})' if reason not in ('', 'Error') else ''}; its log may say why (mtj logs)"


def times(count: int) -> str:
    """``once``, ``twice``, ``3 times``."""
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def _one_line(message: str) -> str:
    return visible(" ".join(message.split()))
