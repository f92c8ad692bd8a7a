"""Which pods' logs are wanted, in what order, and what stands before their lines: pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mtj_operator.plan import STAGES
from mtj_operator.plan.observed import PodSnapshot

_COLOURS = (36, 33, 35, 32, 34, 96, 93, 95, 92, 94)


@dataclass(frozen=True)
class Choice:
    """What the user wants to see.

    Attributes:
        stage: of this stage alone; of all where ``None``.
        attempt: of this attempt alone; where ``None``, of the last, and of those that follow.
        every: of all attempts.
        rank: of this pod of a stage alone, by its index.
    """

    stage: str | None = None
    attempt: int | None = None
    every: bool = False
    rank: int | None = None


def last_attempts(pods: Iterable[PodSnapshot]) -> dict[str, int]:
    """By stage, the number of the last attempt that has pods."""
    found: dict[str, int] = {}
    for pod in pods:
        found[pod.stage] = max(pod.attempt, found.get(pod.stage, 0))
    return found


def chosen(pods: Iterable[PodSnapshot], choice: Choice, since: Mapping[str, int]) -> list[PodSnapshot]:
    """The pods whose logs are wanted, by stage, attempt and rank.

    Args:
        pods: of the job.
        choice: what the user wants.
        since: by stage, the first attempt that is wanted where the choice names none.
    """
    wanted = [
        pod
        for pod in pods
        if pod.stage in STAGES
        and (choice.stage is None or pod.stage == choice.stage)
        and (choice.rank is None or pod.index == choice.rank)
        and (choice.every or pod.attempt == choice.attempt or _is_recent(pod, choice, since))
    ]
    return sorted(wanted, key=lambda pod: (STAGES.index(pod.stage), pod.attempt, pod.index, pod.name))


def _is_recent(pod: PodSnapshot, choice: Choice, since: Mapping[str, int]) -> bool:
    return choice.attempt is None and pod.attempt >= since.get(pod.stage, 0)


def has_log(pod: PodSnapshot) -> bool:
    """Whether its container has begun."""
    return pod.started is not None


def has_ended(pod: PodSnapshot) -> bool:
    """Whether its container writes no more."""
    return pod.exit_code is not None or pod.phase in ("Succeeded", "Failed")


def prefix(pod: PodSnapshot, *, colour: bool) -> str:
    """What stands before its lines: ``train[0] ``."""
    name = f"{pod.stage}[{pod.index}]"
    return f"\x1b[{_COLOURS[pod.index % len(_COLOURS)]}m{name}\x1b[0m " if colour else f"{name} "
