"""Which pods' logs are shown, in what order, and what stands before their lines."""

from __future__ import annotations

import pytest

from mtj_operator.logs.pods import Choice, chosen, has_ended, has_log, last_attempts, prefix
from mtj_operator.plan.observed import PodSnapshot


def pod(name: str, phase: str = "Running", exit_code: int | None = None, started: float | None = 1.0) -> PodSnapshot:
    """The pod of a name such as ``train-2-0``: stage, attempt and index."""
    stage, attempt, index = name.split("-")
    return PodSnapshot(
        name=name,
        job="",
        stage=stage,
        attempt=int(attempt),
        index=int(index),
        phase=phase,
        exit_code=exit_code,
        started=started,
    )


PODS = [
    pod(name)
    for name in ("train-2-1", "train-2-0", "train-1-0", "report-1-0", "prepare-1-1", "prepare-1-0", "train-10-0")
]


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        (Choice(), ["prepare-1-0", "prepare-1-1", "train-10-0", "report-1-0"]),
        (Choice(stage="train"), ["train-10-0"]),
        (Choice(stage="train", attempt=2), ["train-2-0", "train-2-1"]),
        (Choice(attempt=1), ["prepare-1-0", "prepare-1-1", "train-1-0", "report-1-0"]),
        (Choice(stage="train", every=True), ["train-1-0", "train-2-0", "train-2-1", "train-10-0"]),
        (Choice(rank=1), ["prepare-1-1"]),
        (Choice(rank=1, every=True), ["prepare-1-1", "train-2-1"]),
        (Choice(stage="publish"), []),
    ],
)
def test_pods_are_shown_by_stage_attempt_and_rank(choice: Choice, names: list[str]) -> None:
    assert [pod.name for pod in chosen(PODS, choice, last_attempts(PODS))] == names


def test_attempts_that_follow_the_last_one_are_shown_too() -> None:
    since = last_attempts(PODS)
    later = [*PODS, pod("train-11-0"), pod("publish-1-0")]
    names = [pod.name for pod in chosen(later, Choice(), since)]
    assert names[2:] == ["train-10-0", "train-11-0", "report-1-0", "publish-1-0"]
    assert "train-11-0" not in [pod.name for pod in chosen(later, Choice(attempt=10), since)]


def test_a_pod_that_is_of_no_stage_is_passed_over() -> None:
    assert chosen([pod("other-1-0")], Choice(every=True), {}) == []


@pytest.mark.parametrize(
    ("found", "log", "ended"),
    [
        (pod("train-1-0", "Pending", started=None), False, False),
        (pod("train-1-0"), True, False),
        (pod("train-1-0", "Running", exit_code=1), True, True),
        (pod("train-1-0", "Succeeded", exit_code=0), True, True),
        (pod("train-1-0", "Failed", started=None), False, True),
    ],
)
def test_a_log_begins_and_ends_with_its_container(found: PodSnapshot, log: bool, ended: bool) -> None:
    assert (has_log(found), has_ended(found)) == (log, ended)


def test_a_line_says_whose_it_is_and_in_colour_where_that_can_be_seen() -> None:
    assert prefix(pod("train-2-11"), colour=False) == "train[11] "
    coloured = {prefix(pod(f"train-1-{index}"), colour=True) for index in range(4)}
    assert len({text.partition("m")[0] for text in coloured}) == 4
    assert all(text.endswith("]\x1b[0m ") for text in coloured)
